"""``python -m benchmarks.gpu [--device cuda]``: the service on a device against the bare model.

The floor is transformer-lens' forward to the hook and SAELens' encode at their best batch size, by
number type. Measured against it, over the same text: the service on the embedded transport with
selection on the device (and on the host: both must end with the same content), on Kafka with broker
and aggregators in processes of their own, with a dictionary at every layer, and with a wide one,
these two also against their own arithmetic. Then what the original's storing and extraction cost.
What the time does not hold, or this machine lacks, is left out and named. ``--device cpu --tiny``
takes the same path within seconds, so that it never rots; nothing is fetched from anywhere.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.bare import Bare
from benchmarks.gpu_arithmetic import arithmetic_rate
from benchmarks.gpu_kafka import aggregators, broker
from benchmarks.gpu_original import extraction, storing
from benchmarks.report import RESULTS, markdown_table, write_report
from benchmarks.service import Served, prepared, serve_whole
from benchmarks.shapes import FOLDER, Built, Shape, build, publish, token_rows
from consumers.activations.torch_engine import TorchEngine
from consumers.models.devices import device_name, pick_device, this_machine
from consumers.models.tf32 import set_tf32
from consumers.plan import make_plan
from consumers.runs.specs import DictionarySpec, ModelSpec, RunSpec
from producers.corpora import delete_corpus
from streams.records.corpus import CorpusRecord
from streams.records.runs import RunRecord
from streams.transport.connect import connect

GPT2 = Shape("gpt2", 12, 768, 12, 50257, 8, 24576)
WIDE = replace(GPT2, features=131072)
TINY = Shape("tiny", 2, 64, 4, 512, 1, 512, context=32)
Dtype = Literal["bfloat16", "float32"]
SECONDS = 300.0
K = 100


@dataclass(frozen=True, slots=True)
class Numbers:
    """Number types of a run. goal: how many times the bare model the service is to be."""

    name: str
    dtype: Dtype
    tf32: bool
    goal: float
    rows: int


NUMBERS = (
    Numbers("bfloat16", "bfloat16", False, 1.5, 2**17),
    Numbers("TF32", "float32", True, 1.4, 2**16),
    Numbers("float32", "float32", False, 1.1, 2**15),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. rows of text in all, per batch, and per forward pass."""

    shape: Shape
    wide: Shape
    floor_rows: int
    floor_batches: tuple[int, ...]
    batch: int
    micro: int
    check_rows: int
    many_rows: int
    kafka_rows: int
    most_rows: int
    warm_up: bool = True


FULL = Sizes(GPT2, WIDE, 1024, (64, 256, 512), 2048, 256, 2**13, 2**14, 2**16, 2**20)
LITTLE = Sizes(TINY, replace(TINY, features=1024), 32, (8, 32), 8, 8, 16, 16, 16, 32, False)


@dataclass(slots=True)
class Bench:
    """What is measured so far. left_out: what is not, and why."""

    device: str
    sizes: Sizes
    built: Built
    aside: Path
    begun: float = field(default_factory=time.perf_counter)
    floors: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    number: int = 0

    def has_time(self, what: str, needed: float) -> bool:
        """Return whether so many seconds are left for something; note it as left out if not."""
        left = SECONDS - (time.perf_counter() - self.begun)
        if left < needed:
            self.left_out.append(f"{what}: the time was over")
        return left >= needed

    def serve(
        self,
        what: str,
        numbers: Numbers,
        rows: int,
        *,
        built: Built | None = None,
        hooks: Sequence[str] = (),
        k: int = K,
        on_device: bool = True,
        url: str | None = None,
        beside: Callable[[RunRecord], AbstractContextManager[None]] | None = None,
        arithmetic: bool = False,
    ) -> tuple[float, Served]:
        """Run the service over text of its own and note it; return its tokens/s, and what it took.

        hooks: a dictionary at each; none for the shape's own. arithmetic: measure the run's own
        arithmetic, too.
        """
        self.number += 1
        made, shape = built or self.built, (built or self.built).shape
        url = url or f"memory://gpu-{self.number}"
        client = connect(url)
        corpus = publish(client, shape, rows, self.sizes.batch, corpus=f"text-{self.number}")
        first = publish(
            client, shape, self.sizes.batch, self.sizes.batch, corpus=f"first-{self.number}"
        )
        try:
            engine = self._engine(made, corpus, numbers, hooks, k, on_device)
            store = self.aside / f"store-{self.number}"
            # Compiles and allocates what it needs.
            if self.sizes.warm_up:
                serve_whole(_over(engine, first), url, f"first-{self.number}", store)
            served = serve_whole(engine, url, f"run-{self.number}", store, beside)
            rate = rows * shape.context / served.seconds
            alone = arithmetic_rate(engine, shape, self.sizes.batch) if arithmetic else None
        finally:
            for name in (corpus.name, first.name):
                delete_corpus(client, name)
            client.close()
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()
        features = shape.features * max(1, len(hooks))
        self.rows.append(
            _row(what, numbers, self.sizes.batch, rows * shape.context, features, served)
        )
        print(self.rows[-1], file=sys.stderr, flush=True)
        if alone is not None:
            without = self.rows[-1]["tokens/s without the tail"]
            self.ratio(f"{what} / its own arithmetic", without / alone, 0.8)
            self.ratio(f"{what} with its tail / its own arithmetic", rate / alone)
        return rate, served

    def ratio(self, what: str, found: float, goal: float | None = None) -> None:
        """Note a ratio and whether it reaches what is wanted, if anything is."""
        row: dict[str, Any] = {"ratio": what, "measured": found}
        if goal is not None:
            row |= {"goal": f">= {goal:g}", "met": "yes" if found >= goal else "no"}
        self.ratios.append(row)
        print(self.ratios[-1], file=sys.stderr, flush=True)

    def _engine(
        self,
        built: Built,
        corpus: CorpusRecord,
        numbers: Numbers,
        hooks: Sequence[str],
        k: int,
        on_device: bool,
    ) -> TorchEngine:
        model = ModelSpec(
            str(built.model),
            device=self.device,
            dtype=numbers.dtype,
            micro_batch=self.sizes.micro,
            tf32=numbers.tf32,
        )
        path = str(built.dictionary)
        dictionaries = tuple(
            DictionarySpec(f"sae-{n}", path=path, hook=hook, coactivation=False)
            for n, hook in enumerate(hooks or (built.shape.hook,))
        )
        spec = RunSpec(name="gpu", store="store", model=model, sources=dictionaries, k=k)
        made = prepared(spec, corpus)
        return TorchEngine(made.plan, made.model, made.sources, True, on_device)


def main(arguments: Sequence[str]) -> int:
    """Measure, print the ratios and write the report; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny; its report is thrown away")
    parser.add_argument("--out", type=Path, help="folder of the report")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as aside:
        sizes = LITTLE if given.tiny else FULL
        parts = Path(aside) if given.tiny else FOLDER
        bench = Bench(given.device, sizes, build(sizes.shape, parts), Path(aside))
        _measure(bench, parts, given.tiny)
        tables = {
            "Ratios": bench.ratios,
            "Storing a batch from the device": storing(given.device, given.tiny),
            "Extraction of 100,000 samples of 512 tokens, extrapolated": _extraction(
                bench, given.tiny
            ),
        }
        folder = given.out or (Path(aside) if given.tiny else RESULTS)
        notes = _notes(bench)
        path = write_report("gpu", bench.rows, notes=notes, tables=tables, folder=folder)
        print(path.with_suffix(".md").read_text(), file=sys.stderr)
        print(markdown_table(bench.ratios))
    return 0


def _measure(bench: Bench, parts: Path, tiny: bool) -> None:
    sizes, rates = bench.sizes, dict[str, float]()
    for numbers in NUMBERS:
        if bench.has_time(f"the floor in {numbers.name}", 10):
            bench.floors[numbers.name] = _floor(bench, numbers)
    for numbers in NUMBERS:
        if numbers.name in bench.floors and bench.has_time(f"the service in {numbers.name}", 45):
            rows = min(numbers.rows, sizes.most_rows)
            rates[numbers.name], served = bench.serve("service", numbers, rows)
            floor, without = bench.floors[numbers.name], bench.rows[-1]["tokens/s without the tail"]
            bench.ratio(f"{numbers.name}: service / bare model", without / floor, numbers.goal)
            bench.ratio(f"{numbers.name}: the same with its tail", rates[numbers.name] / floor)
            if numbers is NUMBERS[0]:
                bench.ratio("2 s / tail of the final snapshot", 2 / max(served.tail, 1e-9), 1)
    fast = NUMBERS[0]
    if bench.has_time("selection on the host", 30):
        here, there = (
            bench.serve(f"selection on the {where}", fast, sizes.check_rows, on_device=device)
            for where, device in (("device", True), ("host", False))
        )
        if here[1].manifest.content != there[1].manifest.content:
            raise ValueError("selection on the device and on the host end with different contents")
        bench.ratio("device / host selection, short text", here[0] / there[0], 1)
    if bench.has_time("a dictionary at every layer", 60):
        hooks = [f"blocks.{layer}.hook_resid_pre" for layer in range(sizes.shape.layers)]
        name = f"{len(hooks)} hooks"
        bench.serve(name, fast, sizes.many_rows, hooks=hooks, k=20, arithmetic=True)
    _on_kafka(bench, fast, rates, tiny)
    if bench.has_time("a wide dictionary", 60):
        name = f"{sizes.wide.features:,} features"
        wide = build(sizes.wide, parts)
        bench.serve(name, fast, sizes.many_rows, built=wide, arithmetic=True)


def _on_kafka(bench: Bench, numbers: Numbers, rates: dict[str, float], tiny: bool) -> None:
    if tiny:
        bench.left_out.append("Kafka: not in the tiny form")
        return
    if numbers.name not in rates or not bench.has_time("Kafka", 60):
        return
    embedded = next(r for r in bench.rows if (r["what"], r["numbers"]) == ("service", numbers.name))
    with broker(bench.aside / "kafka") as kafka:
        if isinstance(kafka, str):
            bench.left_out.append(f"Kafka: {kafka}")
            return
        rate, _ = bench.serve(
            "on Kafka",
            numbers,
            bench.sizes.kafka_rows,
            url=kafka.url,
            beside=aggregators(kafka),
        )
    without = "tokens/s without the tail"
    bench.ratio("Kafka / embedded", bench.rows[-1][without] / embedded[without], 0.8)
    bench.ratio("Kafka / embedded, with their tails", rate / rates[numbers.name])


def _extraction(bench: Bench, tiny: bool) -> list[dict[str, Any]]:
    served = [(r["numbers"], r["tokens/s"]) for r in bench.rows if r["what"] == "service"]
    return extraction(bench.device, served, tiny)


def _floor(bench: Bench, numbers: Numbers) -> float:
    """Return the most tokens per second of the bare model and dictionary, over batch sizes."""
    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[numbers.dtype]
    bare = Bare(bench.built, bench.device, dtype)
    ids = token_rows(bench.built.shape, bench.sizes.floor_rows, 1)
    set_tf32(numbers.tf32)
    best = 0.0
    for rows in bench.sizes.floor_batches:
        bare.run(ids[:rows], rows)
        seconds = []
        for _ in range(3):
            _settle(bench.device)
            begun = time.perf_counter()
            bare.run(ids, rows)
            _settle(bench.device)
            seconds.append(time.perf_counter() - begun)
        best = max(best, float(ids.size) / statistics.median(seconds))
    set_tf32(False)
    return best


def _over(engine: TorchEngine, corpus: CorpusRecord) -> TorchEngine:
    """Return an engine for a run of the same over another corpus."""
    run = replace(engine.plan.run, corpus=corpus.name)
    return TorchEngine(
        make_plan(run),
        engine.model,
        engine.sources,
        engine.on_device,
        engine.selects_on_device,
    )


def _row(
    what: str, numbers: Numbers, batch: int, tokens: int, features: int, served: Served
) -> dict[str, Any]:
    rate = tokens / served.seconds
    streaming = tokens / max(served.seconds - served.tail, 1e-9)
    busy = ", ".join(f"{name} {seconds:.1f}" for name, seconds in served.stages.items())
    return {
        "what": what,
        "numbers": numbers.name,
        "rows a batch": batch,
        "tokens": tokens,
        "tokens/s": rate,
        "feature x tokens/s": rate * features,
        "tokens/s without the tail": streaming,
        "tail, s": served.tail,
        "busy seconds by stage": busy,
    }


def _notes(bench: Bench) -> list[str]:
    machine, device = this_machine(), pick_device(bench.device)
    name = device.type if device.type == "cpu" else device_name(device, machine)
    floors = ", ".join(f"{name} {rate:,.0f}" for name, rate in bench.floors.items())
    return [
        f"device: {name}",
        f"the bare model at its best batch size, tokens/s: {floors}",
        "tokens/s of the service: from the first record at the engine's door to the final "
        "manifest; the tail is what of that follows the last batch",
        "ratios are without the tail unless they say so; a run's own arithmetic is its forward and "
        "the product of each dictionary, written and forgotten",
        "many hooks have the dictionary of one layer at each, and k is 20 there",
        "two GPUs were not measured: workers share nothing but the broker, so that each of them "
        "adds its own rate as long as the aggregators keep up",
        *(f"left out: {each}" for each in bench.left_out),
    ]


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
