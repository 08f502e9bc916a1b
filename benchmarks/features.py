"""Feature extraction: everything after ``encode``, against forward + encode and two references.

``python -m benchmarks.features``; ``--quick`` for a tiny shape.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from benchmarks.bare import Bare
from benchmarks.extraction import (
    Extraction,
    examples,
    five_best,
    integer_keys,
    part,
    rows_where_positive,
    varied,
)
from benchmarks.goals import reached
from benchmarks.machine import cores
from benchmarks.references import features as reference
from benchmarks.report import RESULTS, write_report
from benchmarks.shapes import FOLDER, GPT2, SMALL, Built, Shape, batches, build, drawn_corpus
from benchmarks.timing import Spread, interleaved, per, ratio, total
from consumers.activations.engine import Activations
from consumers.activations.torch_engine import TorchEngine
from consumers.plan import Plan, make_plan
from consumers.runs.creation import prepare_run
from consumers.runs.specs import DictionarySpec, ModelSpec, RunSpec
from consumers.selection.selection import valid_tokens
from streams.arrays import Bool
from streams.records.corpus import TokenBatch
from streams.records.runs import with_parameters

MICRO_BATCH = 8
BEST = 100
CHECKED = 4
WARM = 8192
FLOOR, OURS = "forward + encode", "ours: all after encode"
SCAN, REST = "ours: of it the scan", "ours: of it the rest"
LOOP, VECTORISED = "sequential per feature", "vectorised per sample"


@dataclass(frozen=True, slots=True)
class Case:
    """A shape, how much of it is measured, and slower / faster -> least ratio.

    rows: of a batch of ours. reference_rows: of a batch that the references and the floor get.
    warm: rows that ours has seen before.
    """

    shape: Shape
    rows: int = 64
    few: int = 8
    warm: int = WARM
    goals: Mapping[tuple[str, str], float] = field(default_factory=dict)


def goals_at(share: float) -> dict[tuple[str, str], float]:
    """Return the goals where all after encode may cost this share of forward + encode."""
    return {(FLOOR, OURS): 1 / share, (LOOP, OURS): 125, (VECTORISED, OURS): 12}


CASES = (
    Case(SMALL, goals=goals_at(0.03)),
    Case(GPT2, goals=goals_at(0.01)),
    Case(replace(GPT2, name="gpt2, rows of 512", context=512), 16, 4, goals=goals_at(0.01)),
)
TINY = (Case(Shape("tiny", 2, 16, 2, 64, 1, 32, 16), 8, 4, warm=64, goals=goals_at(0.03)),)

NOTES = (
    f"Microseconds per row of tokens; k = {BEST}, all cores, float32. Ours is the worker's own "
    "path: the engine's scan for non-zeros, then counts, sums, extremes, histogram, peaks and the "
    "best with all values of their rows, and of each hit sent the five best positions. The "
    "references find maxima, five best positions, counts of rows and the best.",
    f"{FLOOR}: transformer-lens' HookedTransformer up to the hook and `sae.encode`, "
    f"{MICRO_BATCH} rows at a time at most.",
    f"Ours is measured after {WARM:,} rows, made from a batch by scaling each row at random, with "
    "keys of their own; the loop over features has the same heaps before it, the vectorised "
    "proposal builds its own from one batch.",
    f"Tables of the {CHECKED} best with their peaks and five best positions, and the counts of "
    "rows, were asserted equal to both references' before anything was timed.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A batch with its activations."""

    batch: TokenBatch
    valid: Bool
    activations: Activations

    def dense(self, rows: int, features: int) -> Tensor:
        """Return the values of the first rows as the references get them."""
        found = torch.zeros((rows, self.batch.ids.shape[1], features))
        here = self.activations.row < rows
        axes = self.activations.row, self.activations.position, self.activations.component
        at = tuple(torch.from_numpy(axis[here]).long() for axis in axes)
        found[at] = torch.from_numpy(self.activations.value[here])
        return found


def check(run_plan: Plan, given: Given, rows: int) -> None:
    """Assert that both references and ours make the same tables of two batches."""
    plan = make_plan(with_parameters(run_plan.run, k=CHECKED))
    extraction, deferred = Extraction(plan), reference.Deferred()
    loop, dense = reference.empty(plan.components, CHECKED), given.dense(rows, plan.components)
    for taken in (slice(0, rows // 2), slice(rows // 2, rows)):
        batch, activations = part(given.batch, given.activations, taken)
        extraction.add(batch, given.valid[taken], activations)
        keys = integer_keys(batch.keys)
        reference.add_sequentially(loop, dense[taken], keys)
        reference.add_vectorised(deferred, dense[taken], keys)
    ours = examples(extraction.tables(), plan.components)
    counts = rows_where_positive(plan, extraction.tallies)
    assert reference.best_first(loop) == ours
    assert loop.positive == counts
    assert reference.shown(deferred, reference.build(deferred, CHECKED)) == ours
    assert reference.positive_samples(deferred) == counts


class Steady:
    """An extraction that has seen many rows, and one further batch after the other."""

    def __init__(self, plan: Plan, given: Given, rows: int) -> None:
        self.extraction, self._given = Extraction(plan), given
        self._number, self.sent, self.candidates = 0, 0, 0
        self.next()
        for _ in range(rows // len(given.batch.ids)):
            self.add()
            self.next()
        self.sent, self.candidates = 0, 0

    def next(self) -> None:
        """Make the batch that comes next."""
        self._number += 1
        self._next = varied(self._given.batch, self._given.activations, self._number)
        self.extraction.forget()

    def add(self) -> None:
        """Take it into account, and find the five best positions of the hits that are sent."""
        batch, activations = self._next
        hits, candidates = self.extraction.add(batch, self._given.valid, activations)
        five_best(hits)
        self.sent, self.candidates = self.sent + len(hits), self.candidates + candidates

    def tables(self) -> Iterator[list[tuple[float, int]]]:
        """Yield score and sample key of what stands in each table."""
        for table in range(self.extraction.plan.clusters):
            columns = (c.tolist() for c in self.extraction.topk_filter.slots(table))
            yield [(score, high << 64 | low) for score, high, low in zip(*columns, strict=True)]


def measure(case: Case, folder: Path, rounds: int) -> tuple[dict[str, Spread], dict[str, Any]]:
    """Return microseconds per row of each side and its parts, and what there was to find."""
    shape, few = case.shape, case.few
    built = build(shape, folder)
    engine, bare = engine_of(built), Bare(built)
    batch = next(batches(shape, case.rows, case.rows))
    valid = valid_tokens(engine.plan, batch)
    given = Given(batch, valid, engine.compute(batch, valid))
    check(engine.plan, given, 2 * few)
    steady = Steady(engine.plan, given, case.warm)
    hooked, dense = bare.hooked(batch.ids[:few]), given.dense(case.rows, shape.features)
    keys = integer_keys(batch.keys)
    heaps = reference.full(steady.tables(), BEST)
    clock = _Stages(engine)

    def vectorised() -> None:
        deferred = reference.Deferred()
        reference.add_vectorised(deferred, dense, keys)
        reference.build(deferred, BEST)

    def after(name: str, number: int) -> None:
        if name == "engine":
            clock.read(count=number >= 0)
        if name == REST:
            steady.next()

    seconds = interleaved(
        {
            FLOOR: lambda: bare.run(batch.ids[:few], MICRO_BATCH),
            "of it encode": lambda: bare.encode(hooked),
            "engine": lambda: engine.compute(batch, valid),
            REST: steady.add,
            LOOP: lambda: reference.add_sequentially(heaps, dense[:few], keys[:few]),
            VECTORISED: vectorised,
        },
        rounds,
        after=after,
    )
    many = (VECTORISED, "engine", REST)
    on_many = {name: per(seconds[name], case.rows * 1e-6) for name in many}
    on_many |= {name: per(found, case.rows * 1e-6) for name, found in clock.spreads().items()}
    on_few = {n: per(seconds[n], few * 1e-6) for n in seconds if n not in on_many}
    found = on_few | on_many | {OURS: total(on_many[SCAN], on_many[REST])}
    return found, {
        "shape": shape.name,
        "features per token": len(given.activations.value) / int(valid.sum()),
        "sent of a row's candidates": steady.sent / steady.candidates,
    }


class _Stages:
    """Seconds of the engine's own stages, call by call."""

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine
        self._before = replace(engine.timings)
        self._scan, self._encode, self._forward = list[float](), list[float](), list[float]()

    def read(self, count: bool) -> None:
        """Note what the call that has ended took, if it counts."""
        now, before = replace(self._engine.timings), self._before
        self._before = now
        if count:
            self._scan.append(now.select - before.select)
            self._encode.append(now.encode - before.encode)
            self._forward.append(now.forward - before.forward)

    def spreads(self) -> dict[str, Spread]:
        """Return the stages of the calls that counted."""
        return {
            SCAN: Spread(tuple(self._scan)),
            "ours: encode": Spread(tuple(self._encode)),
            "ours: forward": Spread(tuple(self._forward)),
        }


def engine_of(built: Built) -> TorchEngine:
    """Return the service's engine for a shape, as it loads it itself."""
    spec = RunSpec(
        name="features",
        store="nowhere",
        model=ModelSpec(str(built.model), "cpu", micro_batch=MICRO_BATCH, threads=cores()),
        sources=(DictionarySpec("sae", path=str(built.dictionary), coactivation=False),),
        k=BEST,
    )
    return prepare_run(spec, drawn_corpus(built.shape))


def main(quick: bool = False, folder: Path = RESULTS, parts: Path = FOLDER) -> None:
    """Measure all shapes, print the report and write it to ``folder``; a tiny one if ``quick``.

    parts: where models and dictionaries are kept.
    """
    torch.set_num_threads(cores())
    rows, goals, found = (list[dict[str, Any]]() for _ in range(3))
    for case in TINY if quick else CASES:
        seconds, about = measure(case, parts, 2 if quick else 5)
        rows += [
            {"shape": case.shape.name, "what": name, "us per row": spread}
            | {"share of forward + encode": ratio(spread, seconds[FLOOR])}
            | {f"{slow}/it": ratio(seconds[slow], spread) for slow in (LOOP, VECTORISED)}
            for name, spread in seconds.items()
        ]
        goals += reached(case.shape.name, seconds, case.goals)
        found.append(about)
    tables = {"Goals": goals, "What there was to find": found}
    path = write_report("features", rows, notes=NOTES, tables=tables, folder=folder)
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    if "--quick" in sys.argv[1:]:
        with TemporaryDirectory() as temporary:
            main(quick=True, folder=Path(temporary), parts=Path(temporary))
    else:
        main()
