"""``python -m benchmarks.gpu [--device cuda]``: the service on a device against the bare model.

The floor is transformer-lens' forward to the hook and SAELens' encode at their best batch size. The
service runs on the embedded transport, once with selection on the device and once on the host, over
the same text; both must end with the same content. What the time does not hold is left out and
named. ``--device cpu --tiny`` takes the same path within seconds, so that it never rots.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.bare import Bare
from benchmarks.report import RESULTS, write_report
from benchmarks.service import Served, prepared, serve_whole
from benchmarks.shapes import FOLDER, Built, Shape, build, publish, token_rows
from consumers.activations.torch_engine import TorchEngine
from consumers.runs.specs import DictionarySpec, ModelSpec, RunSpec
from producers.corpora import delete_corpus
from streams.records.corpus import CorpusRecord
from streams.transport.connect import connect

GPT2 = Shape("gpt2", 12, 768, 12, 50257, 8, 24576)
TINY = Shape("tiny", 2, 64, 4, 512, 1, 512, context=32)
BATCHES, TINY_BATCHES = (512, 2048), (8,)
Type = Literal["bfloat16", "float32"]
TYPES: dict[Type, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}
ROWS = {"bfloat16": 65536, "float32": 16384}
TINY_ROWS = 32
SECONDS = 300.0
K = 100
NOTES = (
    "tokens/s of the service: from the first record at the engine's door to the final manifest; "
    "the tail is what of that follows the last batch",
    "not measured here: TF32, which is no setting yet; many hooks and a wide dictionary; Kafka; "
    "several GPUs",
)


def main(arguments: Sequence[str]) -> int:
    """Measure, print the ratios and write the report; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny; its report is thrown away")
    parser.add_argument("--out", type=Path, help="folder of the report")
    given = parser.parse_args(arguments)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as aside:
        folder = given.out or (Path(aside) if given.tiny else RESULTS)
        built = build(TINY, Path(aside)) if given.tiny else build(GPT2, FOLDER)
        rows, left_out = list[dict[str, Any]](), list[str]()
        for name, dtype in TYPES.items():
            floor = _floor(built, given.device, dtype, given.tiny)
            for batch in TINY_BATCHES if given.tiny else BATCHES:
                for there in (True, False):
                    where = "device" if there else "host"
                    if time.perf_counter() - begun > SECONDS:
                        left_out.append(f"{name}, batches of {batch}, selection on the {where}")
                        continue
                    count = TINY_ROWS if given.tiny else ROWS[name]
                    served = _served(built, given.device, name, batch, count, there, Path(aside))
                    rows.append(_row(built.shape, name, batch, where, count, served, floor))
                    print(rows[-1], file=sys.stderr, flush=True)
        _check_contents(rows)
        notes = [f"device: {_device_name(given.device)}", *NOTES]
        notes += [f"left out, since the time was over: {each}" for each in left_out]
        path = write_report("gpu", rows, notes=notes, folder=folder)
        print(path.with_suffix(".md").read_text(), file=sys.stderr)
    return 0


def _floor(built: Built, device: str, dtype: torch.dtype, tiny: bool) -> float:
    """Return the most tokens per second of the bare model and dictionary, over batch sizes."""
    bare, ids = Bare(built, device, dtype), token_rows(built.shape, 64 if tiny else 2048, 1)
    best = 0.0
    for rows in (16, 64) if tiny else (64, 256, 512):
        bare.run(ids[:rows], rows)
        seconds = []
        for _ in range(3):
            _settle(device)
            begun = time.perf_counter()
            bare.run(ids, rows)
            _settle(device)
            seconds.append(time.perf_counter() - begun)
        best = max(best, ids.size / statistics.median(seconds))
    return best


def _served(
    built: Built, device: str, dtype: Type, batch: int, rows: int, there: bool, aside: Path
) -> Served:
    """Run the service over a corpus of its own; there: selection on the device."""
    where = "device" if there else "host"
    url = f"memory://gpu-{dtype}-{batch}-{where}"
    client = connect(url)
    corpus = publish(client, built.shape, rows, batch)
    try:
        engine = _engine(built, corpus, device, dtype, batch, there)
        store = aside / f"store-{dtype}-{batch}-{where}"
        serve_whole(engine, url, "first", store)  # compiles and allocates what it needs
        return serve_whole(engine, url, "second", store)
    finally:
        delete_corpus(client, corpus.name)
        client.close()


def _engine(
    built: Built, corpus: CorpusRecord, device: str, dtype: Type, batch: int, there: bool
) -> TorchEngine:
    model = ModelSpec(str(built.model), device=device, dtype=dtype, micro_batch=min(batch, 256))
    dictionary = DictionarySpec("sae", path=str(built.dictionary), coactivation=False)
    spec = RunSpec(name="gpu", store="store", model=model, sources=(dictionary,), k=K)
    made = prepared(spec, corpus)
    return TorchEngine(made.plan, made.model, made.sources, True, there)


def _row(
    shape: Shape, dtype: str, batch: int, where: str, rows: int, served: Served, floor: float
) -> dict[str, Any]:
    tokens = rows * shape.context
    rate = tokens / served.seconds
    return {
        "dtype": dtype,
        "rows a batch": batch,
        "selection on": where,
        "tokens": tokens,
        "tokens/s": rate,
        "feature x tokens/s": rate * shape.features,
        "times bare": rate / floor,
        "without the tail": tokens / max(served.seconds - served.tail, 1e-9) / floor,
        "bare tokens/s": floor,
        "tail, s": served.tail,
        "content": served.manifest.content[:16],
    }


def _check_contents(rows: Sequence[dict[str, Any]]) -> None:
    """Raise ValueError unless device and host selected the same."""
    found: dict[tuple[str, int], set[str]] = {}
    for row in rows:
        found.setdefault((row["dtype"], row["rows a batch"]), set()).add(row["content"])
    if wrong := [key for key, contents in found.items() if len(contents) > 1]:
        raise ValueError(f"selection on the device and on the host differ: {wrong}")


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
