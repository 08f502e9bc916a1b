"""sae_vis: SaeVisData.create over a few features, then its HTML page."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens import SAE, SAEConfig
from sae_vis import data_fetching_fns
from sae_vis.data_config_classes import (
    ActsHistogramConfig,
    Column,
    SaeVisConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
)
from sae_vis.data_storing_fns import SaeVisData
from safetensors.torch import load_file

from benchmarks.peers.hooked_model import few_ticks, hooked_model
from benchmarks.peers.job import Found, Job, Part, read_job, write_found
from benchmarks.peers.meter import Lap, Memory, Others, timed, watched

AT_A_TIME = 256
"""Features per batch, the tool's default; each batch reads all text anew."""


def measure(job: Job) -> Found:
    """Run ``amount`` features as one batch; return what a batch and what a feature costs."""
    model, sae = hooked_model(job.model), _dictionary(job)
    tokens = torch.from_numpy(np.load(job.tokens))
    few_ticks(data_fetching_fns.ActsHistogramData)
    few_ticks(data_fetching_fns.LogitsHistogramData)
    _create(model, sae, tokens[:8], range(2), job.variant)  # warm-up
    laps = _watched()
    memory, others = Memory(), Others()
    whole, page = Lap(), Lap()
    with timed(whole):
        data = _create(model, sae, tokens, range(job.amount), job.variant)
    with timed(page):
        data.save_feature_centric_vis(filename=str(Path(job.output) / "page.html"))
    over, disturbed = memory.over_start(), others.share()
    features = job.shape["features"]
    return Found(
        parts=_parts(whole, laps, page, job.amount, features),
        scaled=f"{job.amount} of {features} features as one batch: what a batch of "
        f"{AT_A_TIME} and what a feature costs",
        memory=over,
        others=disturbed,
        versions={n: metadata.version(n) for n in ("sae-vis", "torch", "transformer-lens")},
        features=list(range(job.amount)),
        highest=data.feature_stats.max,
        resolution=1e-5,
        fired=[round(share * tokens.numel()) for share in data.feature_stats.frac_nonzero],
    )


@dataclass(frozen=True)
class Laps:
    """features: all that is done feature by feature. correlations: with all features, in the
    batch. extra: of ``features``, what Millrace does not make and has a function of its own."""

    features: Lap
    correlations: Lap
    extra: Lap


def _watched() -> Laps:
    """Return laps that will hold the time of the tool's functions."""
    laps = Laps(Lap(), Lap(), Lap())
    module: Any = data_fetching_fns
    module.parse_feature_data = watched(module.parse_feature_data, laps.features)
    module.RollingCorrCoef.update = watched(module.RollingCorrCoef.update, laps.correlations)
    for name in ("TopK", "resid_final_pre_layernorm_to_logits"):
        setattr(module, name, watched(getattr(module, name), laps.extra))
    module.FeatureStatistics.create = watched(module.FeatureStatistics.create, laps.extra)
    for histogram in (module.LogitsHistogramData, module.LogitsTableData):
        histogram.from_data = watched(histogram.from_data, laps.extra)
    return laps


def _create(model: Any, sae: Any, tokens: Any, features: Any, variant: str) -> Any:
    options = {} if variant == "defaults" else {"feature_centric_layout": _lean()}
    cfg = SaeVisConfig(features=list(features), minibatch_size_features=AT_A_TIME, **options)
    return SaeVisData.create(sae=sae, model=model, tokens=tokens, cfg=cfg)


def _lean() -> Any:
    """Return a layout of what Millrace makes, too: top contexts, histogram."""
    contexts = SeqMultiGroupConfig(n_quantiles=0, compute_buffer=False)
    return SaeVisLayoutConfig([Column(ActsHistogramConfig()), Column(contexts)])


def _parts(whole: Lap, laps: Laps, page: Lap, amount: int, features: int) -> list[Part]:
    """Return what a batch costs whatever its size, and what each feature costs."""
    batches = -(-features // AT_A_TIME)

    def part(name: str, lap: Lap, less: Sequence[Lap], share: int, times: int, ours: bool) -> Part:
        seconds = lap.seconds - sum(other.seconds for other in less)
        cpu = lap.cpu - sum(other.cpu for other in less)
        return Part(name, seconds / share, cpu / share, times, ours)

    around = (laps.features, laps.correlations)
    return [
        part("a batch of features: forward, encode", whole, around, 1, batches, ours=True),
        part("a batch's correlations", laps.correlations, (), 1, batches, ours=False),
        part("a feature", laps.features, (laps.extra,), amount, features, ours=True),
        part("a feature's logits, quantiles", laps.extra, (), amount, features, ours=False),
        part("a feature's HTML", page, (), amount, features, ours=True),
    ]


def _dictionary(job: Job) -> Any:
    """Return the dictionary as SAELens 5 has it; it cannot read the folder of a later one."""
    shape = job.shape
    hook_layer = shape["hook_layer"]
    cfg = SAEConfig(
        architecture="standard",
        d_in=shape["width"],
        d_sae=shape["features"],
        activation_fn_str="relu",
        apply_b_dec_to_input=True,
        finetuning_scaling_factor=False,
        context_size=shape["context"],
        model_name="gpt2",
        hook_name=f"blocks.{hook_layer}.hook_resid_pre",
        hook_layer=hook_layer,
        hook_head_index=None,
        prepend_bos=False,
        dataset_path="",
        dataset_trust_remote_code=False,
        normalize_activations="none",
        dtype="float32",
        device="cpu",
        sae_lens_training_version=None,
    )
    sae = SAE(cfg)
    (weights,) = Path(job.dictionary).glob("*.safetensors")
    sae.load_state_dict(load_file(weights))
    return sae


if __name__ == "__main__":
    write_found(measure(read_job(sys.argv[1])), Path(sys.argv[2]))
