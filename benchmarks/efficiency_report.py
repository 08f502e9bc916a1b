"""The tables of the efficiency benchmark, made from what was measured."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.candidates import DEFAULT, EVERY, GOAL_TOKENS, KAFKA, KAFKA_GOAL, OWN, Candidate
from benchmarks.efficiency_point import BATCH_ROWS, Measured
from benchmarks.floors import FLOOR, TIGHT
from benchmarks.goals import judged
from benchmarks.report import write_report
from benchmarks.service import Served
from benchmarks.shapes import Shape
from benchmarks.timing import Spread, ratio
from benchmarks.top_sets import agreement

Row = dict[str, Any]

NOTES = (
    "Efficiency is the time of the floor over the time of the whole service for the same text, "
    "round by round. Floor: transformer-lens' HookedTransformer up to the hook and sae.encode, "
    "as many rows at a time as the service's micro-batch has; its text is computed in parts that "
    "take turns with the candidates.",
    "Service: both apps, one worker each, in one process, over a published corpus in batches of "
    f"{BATCH_ROWS} rows: from the first record at the engine's door until the final manifest can "
    "be read from the broker, looked for every 0.02 s. Left out are the loading of the model and "
    "the start and stop of the apps, which the stages show. One batch was computed before, in a "
    "run of its own.",
    "Stages are medians of busy seconds; they overlap, so they may add up to more than the whole. "
    "Tail: from the last batch computed to the final manifest.",
    "Every round of a candidate gave the same content hash, and Kafka that of the embedded "
    "transport.",
    "On Kafka the broker runs on the same cores, started before each run and stopped after it.",
)


@dataclass(slots=True)
class Report:
    """Everything measured so far; snapshots are compared when a point is added, then not needed."""

    floors: dict[str, Mapping[str, Spread]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    kafka: list[Row] = field(default_factory=list)
    stages: list[Row] = field(default_factory=list)
    agreed: list[Row] = field(default_factory=list)

    def add_floors(self, shape: Shape, found: Mapping[str, Spread]) -> None:
        """Add the floors of a shape, before its points. found: ms per row of each."""
        self.floors[shape.name] = found

    def add(self, point: Measured) -> None:
        """Add a point; ValueError unless each candidate gave one content in all its rounds."""
        for candidate in _candidates(point):
            point.content(candidate)
        self.rows += efficiency_rows(point, self.floors[point.shape.name])
        self.kafka += kafka_rows(point)
        self.stages += stage_rows(point)
        self.agreed += agreement_rows(point)

    def write(self, folder: Path) -> Path:
        """Write the report; return the path of its JSON."""
        tables = {
            "Kafka": self.kafka,
            "Stages, seconds": self.stages,
            "Top samples, against those of transformer-lens' forward": self.agreed,
            "Bare model": floor_rows(self.floors),
        }
        kept = {title: rows for title, rows in tables.items() if rows}
        return write_report("efficiency", self.rows, notes=NOTES, tables=kept, folder=folder)


def efficiency_rows(point: Measured, floors: Mapping[str, Spread]) -> list[Row]:
    """Return a row per candidate: efficiency, its goal, and the time behind it.

    floors: ms per row of each floor at this shape.
    """
    tokens = point.rows * point.shape.context
    tighter = floors[TIGHT].median / floors[FLOOR].median
    rows = []
    for candidate in _candidates(point):
        seconds = point.seconds(candidate)
        found = ratio(point.floor, seconds)
        goal = candidate.goals.get(point.shape.name) if tokens >= GOAL_TOKENS else None
        rows.append(
            {
                "shape": point.shape.name,
                "tokens": tokens,
                "service": candidate.name,
                "forward by": point.engines[candidate.name].plan.run.model.forward,
                "efficiency": found,
                "goal": f">= {goal:g}" if goal else "",
                "met": ("yes" if found.median >= goal else "no") if goal else "",
                "against the addmm floor": found.median * tighter,
                "seconds": seconds,
                "tokens/s": tokens / seconds.median,
            }
        )
    return rows


def kafka_rows(point: Measured) -> list[Row]:
    """Return how Kafka compares with the embedded transport, where both were measured.

    Raises ValueError if their contents differ.
    """
    if not {KAFKA.name, DEFAULT.name} <= point.served.keys():
        return []
    if point.content(KAFKA) != point.content(DEFAULT):
        raise ValueError("the service on Kafka has another content than on the embedded transport")
    what = f"embedded / Kafka at {point.rows * point.shape.context:,} tokens"
    found = ratio(point.seconds(DEFAULT), point.seconds(KAFKA))
    return [judged(what, point.shape.name, found, KAFKA_GOAL)]


def stage_rows(point: Measured) -> list[Row]:
    """Return a row per candidate: seconds by stage, and those that efficiency leaves out."""
    rows = []
    for candidate in _candidates(point):
        served = point.served[candidate.name]
        stages = {
            stage: _median([one.stages[stage] for one in served]) for stage in served[0].stages
        }
        rows.append(
            {
                "shape": point.shape.name,
                "tokens": point.rows * point.shape.context,
                "service": candidate.name,
                "seconds": point.seconds(candidate).median,
                **stages,
                "tail": _median([one.tail for one in served]),
                "start and stop": _median([_around(one) for one in served]),
            }
        )
    return rows


def agreement_rows(point: Measured) -> list[Row]:
    """Return how far the other forwards' top samples are those of transformer-lens' forward."""
    if OWN.name not in point.served:
        return []
    own = point.served[OWN.name][-1].manifest
    rows = []
    for candidate in _candidates(point):
        if candidate == OWN or candidate.kafka:
            continue
        found = agreement(own, point.served[candidate.name][-1].manifest)
        rows.append(
            {
                "shape": point.shape.name,
                "tokens": point.rows * point.shape.context,
                "service": candidate.name,
                "same top samples, share of clusters": found.sets,
                "common top samples, share of all": found.samples,
            }
        )
    return rows


def floor_rows(floors: Mapping[str, Mapping[str, Spread]]) -> list[Row]:
    """Return ms per row of each floor, by shape."""
    return [
        {"shape": shape, "bare model": name, "ms per row": spread}
        for shape, found in floors.items()
        for name, spread in found.items()
    ]


def _candidates(point: Measured) -> Sequence[Candidate]:
    return [candidate for candidate in EVERY if candidate.name in point.served]


def _around(served: Served) -> float:
    return served.whole - served.seconds


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)
