"""delphi: LatentCache over the text, then LatentDataset builds the examples of latents."""

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from delphi.config import CacheConfig, ConstructorConfig, SamplerConfig
from delphi.latents import LatentCache, LatentDataset
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from benchmarks.peers.job import Found, Job, Part, read_job, write_found
from benchmarks.peers.meter import Lap, Memory, Others, timed

SPLITS = 5
"""Files that the cache is cut into, the tool's default."""


def measure(job: Job) -> Found:
    """Cache all latents, build the examples of ``amount`` of them, and return the times."""
    model = AutoModel.from_pretrained(job.model, dtype="auto").eval()
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    hook = f"h.{job.shape['hook_layer'] - 1}"  # what leaves a block goes into the next
    tokens = torch.from_numpy(np.load(job.tokens))
    encode = {hook: _encode(job)}
    rows = CacheConfig().batch_size
    LatentCache(model, encode, rows).run(tokens[:rows].numel(), tokens[:rows])  # warm-up
    cache = LatentCache(model, encode, rows)
    folder = Path(job.output) / "latents"
    folder.mkdir()
    features = job.shape["features"]
    amount = min(job.amount or features, features)
    chosen = _chosen(features, amount, job.seed)
    memory, others = Memory(), Others()
    caching, saving, building = Lap(), Lap(), Lap()
    with timed(caching):
        cache.run(tokens.numel(), tokens)
    with timed(saving):
        cache.save_splits(n_splits=SPLITS, save_dir=folder)
    sizes = CacheConfig(cache_ctx_len=job.shape["context"], n_tokens=tokens.numel())
    cache.save_config(save_dir=folder, cfg=sizes, model_name=job.model)
    fired = cache.hookpoint_firing_counts[hook]
    highest = _highest(cache, hook, features)
    del cache
    with timed(building):
        examples = _examples(folder, hook, chosen, tokenizer, job.variant)
    over, disturbed = memory.over_start(), others.share()
    return Found(
        parts=[
            Part("cache: forward, encode, nonzeros", caching.seconds, caching.cpu),
            Part("cache: files", saving.seconds, saving.cpu),
            Part(
                "examples of a latent",
                building.seconds / amount,
                building.cpu / amount,
                features,
            ),
        ],
        scaled=f"cache whole; examples of {amount} of {features} latents, "
        f"{examples} of which had enough",
        memory=over,
        others=disturbed,
        versions={n: metadata.version(n) for n in ("eai-delphi", "torch", "transformers")},
        features=chosen.tolist(),
        highest=highest[chosen].tolist(),
        resolution=1e-5,
        fired=fired[chosen].tolist(),
    )


def _examples(folder: Path, hook: str, chosen: Any, tokenizer: Any, variant: str) -> int:
    """Build examples as the tool's main program does, and return for how many latents."""
    least = int(variant.split()[-1])
    dataset = LatentDataset(
        raw_dir=folder,
        sampler_cfg=SamplerConfig(),
        constructor_cfg=ConstructorConfig(min_examples=least),
        modules=[hook],
        latents={hook: chosen},
        tokenizer=tokenizer,
    )
    return sum(1 for _ in dataset)


def _chosen(features: int, amount: int, seed: int) -> Any:
    """Return numbers of latents int64 [amount], ascending: how rare one is decides its cost."""
    drawn = np.random.default_rng(seed).permutation(features)[:amount]
    return torch.from_numpy(np.sort(drawn))


def _highest(cache: Any, hook: str, features: int) -> Any:
    """Return the largest activation of each latent [features]."""
    latents = cache.cache.latent_locations[hook][:, 2]
    values = cache.cache.latent_activations[hook].float()
    return torch.zeros(features).scatter_reduce(0, latents, values, "amax")


def _encode(job: Job) -> Any:
    """Return the dictionary's encode in as few passes as torch does it in."""
    (path,) = Path(job.dictionary).glob("*.safetensors")
    weights = load_file(path)
    bias = weights["b_enc"] - weights["b_dec"] @ weights["W_enc"]

    def encode(values: Any) -> Any:
        flat = torch.addmm(bias, values.reshape(-1, values.shape[-1]), weights["W_enc"]).relu_()
        return flat.reshape(*values.shape[:-1], -1)

    return encode


if __name__ == "__main__":
    write_found(measure(read_job(sys.argv[1])), Path(sys.argv[2]))
