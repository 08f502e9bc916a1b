"""What the benchmark of GPUs measures with: number types, sizes, and runs of the service noted."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.gpu_arithmetic import arithmetic_rate
from benchmarks.service import Served, prepared, serve_whole
from benchmarks.shapes import Built, Shape, publish
from consumers.activations.torch_engine import TorchEngine
from consumers.plan import make_plan
from consumers.runs.specs import DEFAULT, DictionarySpec, ModelSpec, RunSpec
from producers.corpora import delete_corpus
from streams.records.corpus import CorpusRecord
from streams.records.runs import RunRecord
from streams.transport.connect import connect

GPT2 = Shape("gpt2", 12, 768, 12, 50257, 8, 24576)
WIDE = replace(GPT2, features=131072)
TINY = Shape("tiny", 2, 64, 4, 512, 1, 512, context=32)
Dtype = Literal["bfloat16", "float32"]
SECONDS = 250.0  # of the five minutes; loading and building take the rest
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

    @contextmanager
    def optional(self, what: str) -> Iterator[None]:
        """Note as left out what fails in the block, so that one part takes no other with it.

        In the tiny form, which is a test, a failure is one.
        """
        try:
            yield
        except Exception as error:
            if not self.sizes.warm_up:
                raise
            said = str(error).partition("\n")[0][:200]
            self.left_out.append(f"{what}: it failed with {type(error).__name__}: {said}")

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
        by_default: bool = False,
        url: str | None = None,
        beside: Callable[[RunRecord], AbstractContextManager[None]] | None = None,
        arithmetic: bool = False,
    ) -> tuple[float, Served]:
        """Run the service over text of its own and note it; return its tokens/s, and what it took.

        hooks: a dictionary at each; none for the shape's own. by_default: with all numbers that a
        run has by default. arithmetic: measure the run's own arithmetic, too.
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
            engine = self._engine(made, corpus, numbers, hooks, k, on_device, by_default)
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
        by_default: bool,
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
        if by_default:
            spec = replace(spec, statistics=(DEFAULT,), rankings=(DEFAULT,))
        made = prepared(spec, corpus)
        return TorchEngine(made.plan, made.model, made.sources, True, on_device)


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
