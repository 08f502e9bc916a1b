"""What a run has by default, together and each alone: processor time against forward + encode.

``python -m benchmarks.default_numbers``; ``--quick`` for a tiny shape.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.bare import Bare
from benchmarks.machine import cores
from benchmarks.random_parts import save_model
from benchmarks.report import RESULTS, write_report
from benchmarks.shapes import SMALL, Built, Shape, batches, drawn_corpus
from benchmarks.statistics_worker import drawn_batch
from benchmarks.timing import Spread, interleaved, per, ratio, total
from consumers.activations.measurements.health import HealthKind
from consumers.activations.measurements.measurement import ComputedBatch
from consumers.activations.torch_engine import TorchEngine
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan, make_plan
from consumers.runs.creation import prepare_run
from consumers.runs.specs import DEFAULT, DictionarySpec, ModelSpec, RunSpec
from consumers.selection.worker import ActivationWorker, Computed
from consumers.statistics.registry import REQUIRED
from streams.records.measures import bare_name, parameter, parameters_of
from streams.records.measures import measure as measure_of

L0, DRAWN, GOAL = 56.5, 4, 0.15
TURN = 4
"""Batches that a choice takes in its turn: aggregators merge the hits of several at a time."""

FLOOR, PLAIN, ALL, HEALTH = "forward + encode", "without them", "all but health", "health"
NUMBERS = (
    "random", "intervals", "shared", "tokens", "domains", "place", "row_maximum", "peak_position",
    "position", "distribution",
)  # fmt: skip
NOTES = (
    "Processor milliseconds per row of 128 tokens. Rows of a batch are 64, activations drawn: 56.5 "
    "features a token at log-normal densities, in bursts; 12 domains. A choice takes what workers "
    "and aggregators do with a batch after encode: select, encode records, decode and merge them.",
    f"{FLOOR}: transformer-lens' HookedTransformer up to the hook and `sae.encode`, 8 rows at a "
    "time, of the small shape with a dictionary of so many random directions.",
    "A number alone: a run that has it beside what every run has, less one without it, round by "
    "round. They need not add up to what all take together.",
    f"{HEALTH}: a row that is measured, over the rows of which one is.",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A shape, how many batches each choice has seen before, and how many rounds are measured."""

    shape: Shape
    warm: int
    rounds: int


USUAL = Case(replace(SMALL, name="small, wide", features=65_536), 8, 7)
TINY = Case(Shape("tiny", 2, 16, 2, 5000, 1, 64), 1, 1)


class Tail:
    """Worker and aggregator of a plan, and one further batch after the other."""

    def __init__(self, plan: Plan, given: Sequence[Computed], warm: int) -> None:
        self._plan, self._given, self._number = plan, given, 0
        self._worker, self._overlay = ActivationWorker(plan, None), Overlay(plan)  # type: ignore[arg-type]
        self._offsets = [0] * plan.run.shards
        for shard in range(plan.run.shards):
            self._overlay.load(shard, ())
        for _ in range(warm):
            self._add()

    def turn(self) -> None:
        """Take the next batches."""
        for _ in range(TURN):
            self._add()

    def _add(self) -> None:
        """Take the next batch: one of those given, with other values and sample keys."""
        random = np.random.default_rng(self._number)
        one = self._given[self._number % len(self._given)]
        keys = random.integers(0, 256, one.batch.keys.shape).astype(np.uint8)
        by = random.lognormal(0, 0.3, len(keys)).astype(np.float32)
        found: Any = one.activations
        scaled = replace(found, value=found.value * by[found.row])
        batch = replace(one.batch, keys=keys, sequence=self._number)
        self._number += 1
        for record in self._worker.select(Computed(batch, one.valid, scaled)).records:
            part = partial(self._plan, record.shard, record.kind, record.value)
            self._overlay.apply(record.shard, self._offsets[record.shard], part)
            self._offsets[record.shard] += 1


def built(shape: Shape, folder: Path) -> Built:
    """Return a model and a dictionary of random directions, most of whose features are silent."""
    from sae_lens import StandardSAE, StandardSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    save_model(shape, folder / "model", 0)
    notes = SAEMetadata(hook_name=shape.hook, context_size=shape.context)
    sae = StandardSAE(StandardSAEConfig(d_in=shape.width, d_sae=shape.features, metadata=notes))
    sae.b_enc.data -= 2.0
    sae.save_model(folder / "dictionary")
    return Built(shape, folder / "model", folder / "dictionary")


def engine_of(made: Built) -> TorchEngine:
    """Return the engine of a run with all that a run has by default."""
    spec = RunSpec(
        name="default",
        store="nowhere",
        model=ModelSpec(str(made.model), "cpu", threads=cores()),
        sources=(DictionarySpec("sae", path=str(made.dictionary), coactivation=False),),
        statistics=(DEFAULT,),
        rankings=(DEFAULT,),
    )
    return prepare_run(spec, drawn_corpus(made.shape))


def plan_with(plan: Plan, names: Sequence[str]) -> Plan:
    """Return the plan of a run that has these of its numbers alone, beside those of every run."""
    kept = {*REQUIRED, "maximum", *names}
    run = plan.run
    return make_plan(
        replace(
            run,
            statistics=tuple(each for each in run.statistics if bare_name(each) in kept),
            rankings=tuple(each for each in run.rankings if bare_name(each) in kept),
        )
    )


def measure(case: Case, folder: Path) -> dict[str, Spread]:
    """Return processor milliseconds a row of forward + encode, of each choice and of health.

    A choice is all numbers, none, or one of them, by its name.
    """
    made = built(case.shape, folder)
    engine, bare = engine_of(made), Bare(made)
    ids = next(batches(case.shape, 8, 8)).ids
    given = [drawn_batch(number, case.shape.features, L0) for number in range(DRAWN)]
    choices = {PLAIN: (), ALL: NUMBERS, **{name: (name,) for name in NUMBERS}}
    tails = {
        name: Tail(plan_with(engine.plan, names), given, case.warm)
        for name, names in choices.items()
    }
    measured = replace(engine.plan.run, statistics=(_each_row(engine.plan),))
    health = HealthKind().of_run(replace(engine.plan, run=measured), engine.model, engine.sources)
    row = next(batches(case.shape, 1, 1))
    none: Any = None
    alone = ComputedBatch(row, row.mask, none, none, none)
    found = interleaved(
        {
            FLOOR: lambda: bare.run(ids, 8),
            **{name: tail.turn for name, tail in tails.items()},
            HEALTH: lambda: health.measure(alone),
        },
        case.rounds,
        clock=time.process_time,
    )
    one_in = int(parameter(engine.plan.run.statistics, "health@1", "one_in"))
    rows = {FLOOR: len(ids), HEALTH: one_in}
    return {name: per(each, rows.get(name, 64 * TURN) / 1000) for name, each in found.items()}


def _each_row(plan: Plan) -> Any:
    """Return the statistic ``health`` of a run, of every row."""
    (own,) = (each for each in plan.run.statistics if bare_name(each) == HEALTH)
    return measure_of(own.name, **{**parameters_of(own), "one_in": 1})


def main(quick: bool = False, folder: Path = RESULTS) -> None:
    """Measure, print the report and write it to ``folder``; a tiny shape if ``quick``."""
    torch.set_num_threads(cores())
    case = TINY if quick else USUAL
    with TemporaryDirectory() as parts:
        found = measure(case, Path(parts))
    rows = list[dict[str, Any]]()
    more = {
        name: Spread(tuple(a - b for a, b in zip(each.values, found[PLAIN].values, strict=True)))
        for name, each in found.items()
        if name not in (FLOOR, PLAIN, HEALTH)
    }
    every = total(more[ALL], found[HEALTH])
    alone = {f"{name} alone": more[name] for name in NUMBERS} | {f"{HEALTH} alone": found[HEALTH]}
    shown = {FLOOR: found[FLOOR], PLAIN: found[PLAIN], **alone, ALL: more[ALL], "all": every}
    for name, each in shown.items():
        rows.append({"what": name, "ms a row": each, FLOOR: ratio(each, found[FLOOR])})
    share = ratio(every, found[FLOOR])
    met = "yes" if share.median <= GOAL else "no"
    goals = [{"ratio": f"all / {FLOOR}", "measured": share, "goal": f"<= {GOAL}", "met": met}]
    path = write_report("default_numbers", rows, notes=NOTES, tables={"Goal": goals}, folder=folder)
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    if "--quick" in sys.argv[1:]:
        with TemporaryDirectory() as temporary:
            main(quick=True, folder=Path(temporary))
    else:
        main()
