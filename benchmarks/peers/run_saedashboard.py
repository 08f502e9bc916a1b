"""SAEDashboard's NeuronpediaRunner: its own loop, its disk cache, its JSON files.

Only the parts that need a model hub are replaced: how model and tokens come in.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import einops
import numpy as np
import torch
from sae_dashboard import sae_vis_runner
from sae_dashboard.feature_data_generator import FeatureDataGenerator
from sae_dashboard.neuronpedia.neuronpedia_converter import NeuronpediaConverter
from sae_dashboard.neuronpedia.neuronpedia_runner import NeuronpediaRunner
from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig
from safetensors.torch import load_file

from benchmarks.peers.hooked_model import few_ticks, hooked_model
from benchmarks.peers.job import Found, Job, Part, read_job, write_found
from benchmarks.peers.meter import Lap, Memory, Others, timed, watched

AT_A_TIME = 128
"""Features per batch, the runner's default."""


class FolderRunner(NeuronpediaRunner):  # type: ignore[misc]  # its package has no types
    """The runner over a model folder and given tokens."""

    def __init__(self, cfg: NeuronpediaRunnerConfig, job: Job) -> None:
        self.job = job
        super().__init__(cfg)
        tokens = torch.from_numpy(np.load(job.tokens))
        torch.save(tokens, f"{self.cfg.outputs_dir}/tokens_{len(tokens)}.pt")

    def _extract_model_info(self) -> None:
        self.sae.cfg.metadata.model_name = "gpt2"
        super()._extract_model_info()

    def _initialize_model(self) -> None:
        self.model = hooked_model(self.job.model)
        self.hook_name = self.sae.cfg.metadata.hook_name

    def _setup_activation_store(self) -> None:
        self.activations_store = None  # the tokens lie where the runner looks before it makes them
        self.cached_activations_dir = Path(self.job.output) / "cached"


def measure(job: Job) -> Found:
    """Run the first ``amount`` batches of features and return their times."""
    lean = job.variant == "top contexts only"
    runner = FolderRunner(_config(job, lean), job)
    norms = _norms(job)
    batches = -(-job.shape["features"] // AT_A_TIME)
    ran = min(job.amount or batches, batches)
    runner.cfg.end_batch = ran - 1
    few_ticks(sae_vis_runner.ActsHistogramData)
    few_ticks(sae_vis_runner.LogitsHistogramData)
    extra = _watch_extras()
    laps = _laps_of_batches()
    memory, others = Memory(), Others()
    whole = Lap()
    with timed(whole):
        runner.run()
    over, disturbed = memory.over_start(), others.share()
    parts = _parts(whole, laps, extra, batches)
    features, highest, fired = _read(Path(runner.cfg.outputs_dir), job)
    folded = [norms[feature] for feature in features]
    return Found(
        parts=parts,
        scaled=f"{ran} of {batches} feature batches",
        memory=over,
        others=disturbed,
        versions={n: metadata.version(n) for n in ("sae-dashboard", "torch", "transformer-lens")},
        features=features,
        highest=[value / norm for value, norm in zip(highest, folded, strict=True)],
        resolution=0.001 / min(folded),
        fired=fired,
    )


def _config(job: Job, lean: bool) -> NeuronpediaRunnerConfig:
    return NeuronpediaRunnerConfig(
        sae_set="benchmark",
        sae_path=job.dictionary,
        outputs_dir=job.output,
        from_local_sae=True,
        huggingface_dataset_path="benchmark",
        n_prompts_total=job.rows,
        n_tokens_in_prompt=job.shape["context"],
        n_features_at_a_time=AT_A_TIME,
        sae_dtype="float32",
        **({"n_quantiles": 0} if lean else {}),
    )


def _norms(job: Job) -> list[float]:
    """Return the length of each decoder row: the runner folds it into the activations."""
    (path,) = Path(job.dictionary).glob("*.safetensors")
    norms: list[float] = load_file(path)["W_dec"].norm(dim=1).tolist()
    return norms


def _watch_extras() -> Lap:
    """Return a lap of what Millrace does not make: logits, correlations, quantiles."""
    lap = Lap()
    module: Any = sae_vis_runner
    for name in ("get_features_table_data", "get_logits_table_data"):
        setattr(module, name, watched(getattr(module, name), lap))
    module.FeatureStatistics.create = watched(module.FeatureStatistics.create, lap)
    module.LogitsHistogramData.from_data = watched(module.LogitsHistogramData.from_data, lap)
    module.einops = SimpleNamespace(einsum=watched(einops.einsum, lap), rearrange=einops.rearrange)
    update = FeatureDataGenerator.update_rolling_coefficients
    FeatureDataGenerator.update_rolling_coefficients = watched(update, lap)
    return lap


def _laps_of_batches() -> list[Lap]:
    """Return where the clocks will stand after each batch of features, when its JSON is made."""
    laps: list[Lap] = []
    original = NeuronpediaConverter.convert_to_np_json

    def call(*args: Any, **options: Any) -> Any:
        made = original(*args, **options)
        laps.append(Lap(time.perf_counter(), time.process_time()))
        return made

    NeuronpediaConverter.convert_to_np_json = staticmethod(call)
    return laps


def _parts(whole: Lap, laps: list[Lap], extra: Lap, batches: int) -> list[Part]:
    """Return the first batch, which has the forward, and the mean of the rest, times all others."""
    ran = len(laps)
    rest = max(ran - 1, 1)
    later = Lap(laps[-1].seconds - laps[0].seconds, laps[-1].cpu - laps[0].cpu)
    own = Lap(extra.seconds / ran, extra.cpu / ran)
    each = Lap(later.seconds / rest, later.cpu / rest)
    first = Lap(whole.seconds - later.seconds, whole.cpu - later.cpu)
    return [
        Part("first features and forward", first.seconds - own.seconds, first.cpu - own.cpu),
        Part("further features", each.seconds - own.seconds, each.cpu - own.cpu, batches - 1),
        Part("logits, correlations, quantiles", own.seconds, own.cpu, batches, ours=False),
    ]


def _read(folder: Path, job: Job) -> tuple[list[int], list[float], list[int]]:
    """Return features, largest activation and firing tokens of the first batch."""
    found = json.loads((folder / "batch-0.json").read_text())["features"]
    tokens = job.rows * job.shape["context"]
    return (
        [one["feature_index"] for one in found],
        [one["activations"][0]["bin_max"] for one in found],
        [round(one["frac_nonzero"] * tokens) for one in found],
    )


if __name__ == "__main__":
    write_found(measure(read_job(sys.argv[1])), Path(sys.argv[2]))
