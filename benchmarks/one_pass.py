"""One run with every statistic against a run for each part, and against one row at a time.

``python -m benchmarks.one_pass``; ``--quick`` for a tiny shape.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.report import RESULTS, write_report
from benchmarks.shapes import FOLDER, SMALL, Built, Shape, batches, build, drawn_corpus
from benchmarks.timing import Spread, interleaved, per, ratio, total
from consumers.activations.torch_engine import TorchEngine
from consumers.plan import make_plan
from consumers.runs.creation import prepare_run
from consumers.runs.specs import DictionarySpec, ModelSpec, RunSpec
from consumers.selection.selection import select, valid_tokens
from consumers.statistics.registry import OPTIONAL, REQUIRED
from streams.records.corpus import TokenBatch
from streams.records.measures import bare_name

MEASURED = ("noise_robustness", "hook_values", "health")
PARTS: Mapping[str, tuple[str, ...]] = {
    "dashboard data": tuple(name for name in OPTIONAL if name not in MEASURED),
    **{name: (name,) for name in MEASURED},
}
"""What is one run of its own where parts are computed one after the other."""

ALL, IN_TURN, SINGLE = "one run with everything", "parts in turn", "parts in turn, a row at a time"
NOTES = (
    "Processor milliseconds per row of tokens on one thread: forward, encoding, measurements and "
    "selection; reading and aggregation are left out. Every way is given the same rows.",
    "Parts are runs of their own over the same rows, each with its forward pass and encoding: all "
    "statistics of activations, and each statistic that measures hook values or logits "
    "(noise of one size, all rows for hook_values, one in 16 for health). What is measured is "
    "asserted to be equal in both ways before anything is timed.",
    "Batch and micro-batch have the same number of rows. The last column is against "
    "scripts that go through parts and rows one by one.",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A shape and how many rows of it, in batches of which sizes; the smallest is one row."""

    shape: Shape
    rows: int
    sizes: tuple[int, ...]


USUAL = Case(SMALL, 16, (1, 4, 16))
TINY = Case(Shape("tiny", 2, 16, 2, 64, 1, 32, 16), 4, (1, 2))


def engine_of(built: Built) -> TorchEngine:
    """Return an engine of a run with every statistic, on one thread."""
    spec = RunSpec(
        name="one-pass",
        store="nowhere",
        model=ModelSpec(str(built.model), "cpu", threads=1),
        sources=(DictionarySpec("sae", path=str(built.dictionary), coactivation=False),),
        statistics=tuple(name for name in OPTIONAL if name not in MEASURED),
        parameters={"noise_robustness": {}, "hook_values": {"one_in": 1}, "health": {"one_in": 16}},
    )
    return prepare_run(spec, drawn_corpus(built.shape))


def with_statistics(engine: TorchEngine, names: Sequence[str], rows: int) -> TorchEngine:
    """Return an engine of the same parts that has these optional statistics alone.

    rows: of a micro-batch.
    """
    run, kept = engine.plan.run, (*REQUIRED, *names)
    chosen = tuple(each for each in run.statistics if bare_name(each) in kept)
    changed = replace(run, statistics=chosen, model=replace(run.model, micro_batch=rows))
    return TorchEngine(make_plan(changed), engine.model, engine.sources)


def through(engine: TorchEngine, given: Sequence[TokenBatch]) -> dict[str, int]:
    """Compute and select batches; return the sum of what each statistic measured."""
    found: dict[str, int] = {}
    for batch in given:
        valid = valid_tokens(engine.plan, batch)
        activations = engine.compute(batch, valid)
        select(engine.plan, batch, valid, activations)
        for name, values in activations.measured.items():
            weights = np.arange(1, len(values) + 1) % 1009  # so that it matters which is which
            found[name] = found.get(name, 0) + int((values % 2**20 * weights).sum())
    return found


def measure(case: Case, folder: Path, rounds: int) -> dict[tuple[int, str], Spread]:
    """Return processor seconds by size of batches and way: everything, and each part."""
    engine = engine_of(build(case.shape, folder))
    candidates: dict[str, Callable[[], object]] = {}
    keys = {}
    for size in case.sizes:
        given = list(batches(case.shape, case.rows, size))
        ways = {ALL: OPTIONAL, **PARTS}
        engines = {way: with_statistics(engine, names, size) for way, names in ways.items()}
        everything = through(engines[ALL], given)
        apart = [through(engines[way], given) for way in PARTS]
        assert everything == {name: value for one in apart for name, value in one.items()}
        assert len(everything) == len(MEASURED)
        for way, each in engines.items():
            keys[f"{size} {way}"] = (size, way)
            candidates[f"{size} {way}"] = lambda each=each, given=given: through(each, given)  # type: ignore[misc]
    found = interleaved(candidates, rounds, clock=time.process_time)
    return {keys[name]: spread for name, spread in found.items()}


def main(quick: bool = False, folder: Path = RESULTS, parts: Path = FOLDER) -> None:
    """Measure, print the report and write it to ``folder``; a tiny shape if ``quick``.

    parts: where model and dictionary are kept.
    """
    torch.set_num_threads(1)
    case = TINY if quick else USUAL
    seconds = measure(case, parts, 1 if quick else 3)
    in_turn = {size: total(*(seconds[size, way] for way in PARTS)) for size in case.sizes}
    rows = list[dict[str, Any]]()
    for size in case.sizes:
        everything = seconds[size, ALL]
        rows.append(
            {
                "rows a batch": size,
                f"{ALL}: ms a row": per(everything, case.rows / 1000),
                f"{IN_TURN}: ms a row": per(in_turn[size], case.rows / 1000),
                f"{IN_TURN} / it": ratio(in_turn[size], everything),
                f"{SINGLE} / it": ratio(in_turn[case.sizes[0]], everything),
            }
        )
    of_parts = [
        {"part": way, **{f"{size} rows: ms a row": per(seconds[size, way], case.rows / 1000)
                         for size in case.sizes}}
        for way in PARTS
    ]  # fmt: skip
    tables = {"Parts": of_parts}
    path = write_report("one_pass", rows, notes=NOTES, tables=tables, folder=folder)
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    if "--quick" in sys.argv[1:]:
        with TemporaryDirectory() as temporary:
            main(quick=True, folder=Path(temporary), parts=Path(temporary))
    else:
        main()
