"""What the logit lens of a wide dictionary costs beside the matrix products that it is made of.

``python -m benchmarks.deriving [--quick] [--features N ...]``. Weights are drawn at random in the
sizes of SmolLM2-135M: 576 values, 49,152 tokens. Every width is a process of its own.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crew_worker import resident
from benchmarks.own_process import in_own_process
from benchmarks.report import write_report
from benchmarks.wide_snapshot import Width, write_wide_snapshot
from downstream.derived.derivation import Given, Options
from downstream.derived.dictionaries import Dictionary
from downstream.derived.registry import find_derivation
from downstream.reading.snapshot import Snapshot
from streams.arrays import F32

FEATURES = (16_384, 65_536)
VALUES, TOKENS = 576, 49_152
BLOCK = 2048


def main() -> None:
    """Measure every width and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few features; no report")
    parser.add_argument("--features", type=int, nargs="+", default=list(FEATURES))
    given = parser.parse_args()
    tokens = 512 if given.quick else TOKENS
    rows = []
    for features in (64, 256) if given.quick else given.features:
        rows.append(measured(features, tokens))
        print(rows[-1], flush=True)
    if not given.quick:
        notes = [
            "Two products, one for each convention: the final norm's gain scales the values of a "
            "direction, not the tokens, so that neither product can be had from the other.",
            "Processor: seconds of it, which other programs on the machine do not change; divide "
            "by the cores for the time on an idle machine. Bare: the two products by NumPy, in "
            f"blocks of {BLOCK:,} features, with nothing made of them.",
        ]
        write_report("deriving", rows, notes=notes)


def measured(features: int, tokens: int) -> dict[str, Any]:
    """Return a row of the report, measured in a process of its own."""
    return in_own_process(_measure, features, tokens)


def _measure(features: int, tokens: int, answer: Any) -> None:
    from safetensors.numpy import save_file

    random = np.random.default_rng(7)
    decoder = random.standard_normal((features, VALUES), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        model.mkdir()
        weights = random.standard_normal((tokens, VALUES), dtype=np.float32)
        gain = random.standard_normal(VALUES, dtype=np.float32)
        named = {"model.embed_tokens.weight": weights, "model.norm.weight": gain}
        save_file(named, str(model / "model.safetensors"))
        (model / "config.json").write_text(json.dumps({"model_type": "llama"}))
        size = Width(features, samples=64, k=1, context=32, vocabulary=tokens, shards=1)
        snapshot = Snapshot(write_wide_snapshot(folder, size))
        before = resident("VmRSS")
        begun, used = time.perf_counter(), time.process_time()
        find_derivation("logit_lens").derive(
            Given(snapshot, lambda source: _dictionary(decoder), str(model)), Options()
        )
        seconds, processor = time.perf_counter() - begun, time.process_time() - used
        peak = resident("VmHWM")
    bare = _bare(decoder, weights)
    answer.send(
        {
            "kind": "logit_lens",
            "features": features,
            "seconds": seconds,
            "processor s": processor,
            "bare processor s": bare,
            "times bare": processor / bare,
            "GFLOP/s of a core, bare": 4e-9 * features * VALUES * tokens / bare,
            "peak MB": peak / 1e6,
            "before MB": before / 1e6,
        }
    )


def _dictionary(decoder: F32) -> Dictionary:
    hook = "blocks.6.hook_resid_pre"
    return Dictionary("sae", "drawn", hook, hook, lambda: None, lambda: decoder)


def _bare(decoder: F32, weights: F32) -> float:
    """Return the processor seconds of both products alone."""
    out = np.empty((BLOCK, len(weights)), np.float32)
    used = time.process_time()
    for _ in range(2):
        for first in range(0, len(decoder), BLOCK):
            part = decoder[first : first + BLOCK]
            np.matmul(part, weights.T, out=out[: len(part)])
    return time.process_time() - used


if __name__ == "__main__":
    main()
