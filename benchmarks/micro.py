"""The hot operations one by one: codec, tables of the best, cluster maxima, tally.

``python -m benchmarks.micro``; ``--quick`` for a tiny shape.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.extraction import Extraction, varied
from benchmarks.replay import DrawnEngine, replay_plan
from benchmarks.report import RESULTS, write_report
from benchmarks.shapes import GPT2, Shape, batches
from benchmarks.timing import interleaved, per
from consumers.activations.engine import Activations
from consumers.plan import Plan
from consumers.selection.counting import counted
from consumers.selection.membership import cluster_tokens, runs_of
from consumers.selection.messages import batch_records
from consumers.selection.selection import Selection, select, valid_tokens, with_rows
from consumers.selection.topk_filter import TopKFilter
from streams import topics
from streams.arrays import Bool
from streams.records.corpus import TokenBatch
from streams.records.hits import Hits, best, join
from streams.records.partials import HitsPart, Statistics
from streams.wire import codec

ROWS, WARM, L0 = 64, 128, 56.0
TINY = Shape("tiny", 1, 8, 1, 64, 0, 64, 16)

NOTES = (
    f"One batch of {ROWS} rows, {L0:g} features per token, each a cluster of one, k = 100; values "
    f"are drawn (benchmarks/replay.py); one thread. Steady: after {WARM} batches before it.",
    "Mega per s: millions of items a second. GB/s: bytes of a record's arrays in memory, whatever "
    "their size on the wire.",
    "Before anything was timed, records were decoded to what had been encoded, standings compared "
    "with a sort of all hits, and counts, sums and extremes with plain NumPy.",
)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is timed, and how many items it handles or how many bytes of arrays."""

    run: Callable[[], object]
    items: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A batch with its activations, its selection, and what the batches before it left."""

    plan: Plan
    batch: TokenBatch
    valid: Bool
    activations: Activations
    selection: Selection
    before: Extraction

    @property
    def winners(self) -> Hits:
        """The hits of the batch that a worker sends in steady state."""
        passes = self.before.topk_filter.unbeaten(self.selection.candidates)
        return with_rows(self.selection, np.flatnonzero(passes))


def given(shape: Shape, rows: int, warm: int) -> Given:
    """Return a batch of the shape behind ``warm`` others."""
    plan = replay_plan(shape)
    (batch,) = batches(shape, rows, rows)
    valid = valid_tokens(plan, batch)
    activations = DrawnEngine(shape.features, min(L0, shape.features / 8)).compute(batch, valid)
    before = Extraction(plan)
    for number in range(1, warm + 1):
        other, values = varied(batch, activations, number)
        before.add(other, valid, values)
        before.tallies.clear()
    before.topk_filter.see(select(plan, batch, valid, activations).candidates)
    return Given(plan, batch, valid, activations, select(plan, batch, valid, activations), before)


def check(one: Given) -> None:
    """Assert what the operations return by plain means."""
    activations, tally = one.activations, one.selection.tally
    component, value = activations.component, activations.value
    tokens = np.bincount(component, minlength=one.plan.components)
    at = dict(zip(tally.count_at.tolist(), tally.count.tolist(), strict=True))
    assert [at.get(a, 0) for a in one.plan.at_tokens.tolist()] == tokens.tolist()
    fixed = np.rint(value.astype(np.float64) * 2.0**one.plan.run.sum_bits).astype(np.int64)
    starts = np.flatnonzero(np.r_[True, component[1:] != component[:-1]])
    assert tally.cluster.tolist() == component[starts].tolist()
    assert tally.sum.tolist() == np.add.reduceat(fixed, starts).tolist()
    assert tally.high.tolist() == np.maximum.reduceat(value, starts).tolist()
    table = best(join([*one.before.hits, one.winners]), one.plan.run.k)
    columns = (table.score, table.sample_high, table.sample_low)
    ranks = list(zip(*(column.tolist() for column in columns), strict=True))
    ends = np.searchsorted(table.table, np.arange(one.plan.clusters + 1)).tolist()
    for cluster in range(one.plan.clusters):
        slots = zip(*(c.tolist() for c in one.before.topk_filter.slots(cluster)), strict=True)
        stands = sorted(slots, key=lambda rank: (-rank[0], *rank[1:]))
        assert stands == ranks[ends[cluster] : ends[cluster + 1]]


def computing(one: Given) -> dict[str, Operation]:
    """Return the operations between the engine and the wire."""
    plan, valid, activations = one.plan, one.valid, one.activations
    n, positions = len(activations.value), valid.shape[1]
    runs = runs_of(plan, activations, positions)
    tokens = cluster_tokens(plan.member_first, plan.members, runs, valid.size)
    candidates, topk_filter = one.selection.candidates, one.before.topk_filter
    everything = np.arange(len(candidates))
    table, winners = best(join(one.before.hits), plan.run.k), one.winners
    both = len(table) + len(winners)
    least = np.full(plan.clusters, -np.inf, np.float32)
    return {
        "select: tally and candidates": Operation(
            lambda: select(plan, one.batch, valid, activations), n
        ),
        "runs by sign and threshold": Operation(lambda: runs_of(plan, activations, positions), n),
        "cluster maxima, clusters of one": Operation(
            lambda: cluster_tokens(plan.member_first, plan.members, runs, valid.size), n
        ),
        "tally: counts, sums, bins, peaks": Operation(
            lambda: counted(plan, tokens, (len(valid), positions), least), n
        ),
        "top-k filter: see and compare, first batch": Operation(
            lambda: _see(TopKFilter(plan.clusters, plan.run.k), one), len(candidates)
        ),
        "top-k filter: see and compare, steady": Operation(
            lambda: _see(topk_filter, one), len(candidates)
        ),
        "rows of all candidates": Operation(
            lambda: with_rows(one.selection, everything), len(candidates)
        ),
        "best: merge a batch into full tables": Operation(
            lambda: best(join([table, winners]), plan.run.k), both
        ),
    }


def coding(one: Given) -> dict[str, Operation]:
    """Return encoding and decoding of what travels for one batch, after a look at both ends."""
    made = list(batch_records(one.plan, 0, 0, one.selection.tally, one.winners))
    hits = [r.value for r in made if r.kind == topics.HITS]
    statistics = [r.value for r in made if r.kind == topics.STATISTICS]
    found: dict[str, Operation] = {}
    for name, kind, values in (
        ("tokens", TokenBatch, [codec.encode(one.batch)]),
        ("hits", HitsPart, hits),
        ("statistics", Statistics, statistics),
    ):
        records = [codec.decode(kind, value) for value in values]
        size = sum(map(array_bytes, records))
        forms: dict[str, Callable[[Any], bytes]] = {"plain": codec.encode}
        if kind is not TokenBatch:
            forms["packed"] = codec.encode_packed
        for form, encode in forms.items():
            found |= _both_ways(f"{name}, {form}", kind, records, encode, size)
    return found


def array_bytes(record: Any) -> int:
    """Return how many bytes the arrays of a record have in memory."""
    if isinstance(record, np.ndarray):
        return record.nbytes
    if isinstance(record, tuple):
        return sum(map(array_bytes, record))
    if is_dataclass(record):
        return sum(array_bytes(getattr(record, field.name)) for field in fields(record))
    return 0


def main(quick: bool = False, folder: Path = RESULTS) -> None:
    """Measure, print the report and write it to ``folder``; a tiny shape if ``quick``."""
    shape = TINY if quick else GPT2
    one = given(shape, 4 if quick else ROWS, 8 if quick else WARM)
    check(one)
    operations = coding(one) | computing(one)
    runs = {name: operation.run for name, operation in operations.items()}
    seconds = interleaved(runs, 2 if quick else 15, warm_up=2)
    rows = [
        {"operation": name, "ms": per(seconds[name], 1e-3)}
        | ({"GB/s": operation.size / 1e9 / seconds[name].median} if operation.size else {})
        | ({"Mega per s": operation.items / 1e6 / seconds[name].median} if operation.items else {})
        for name, operation in operations.items()
    ]
    path = write_report("micro", rows, notes=NOTES, folder=folder)
    print(path.with_suffix(".md").read_text())


def _see(topk_filter: TopKFilter, one: Given) -> None:
    topk_filter.see(one.selection.candidates)
    topk_filter.unbeaten(one.selection.candidates)


def _both_ways(
    name: str, kind: type, records: list[Any], encode: Callable[[Any], bytes], size: int
) -> dict[str, Operation]:
    values = [encode(record) for record in records]
    for record, value in zip(records, values, strict=True):
        assert codec.encode(codec.decode(kind, value)) == codec.encode(record)
    return {
        f"encode {name}": Operation(lambda: [encode(record) for record in records], size=size),
        f"decode {name}": Operation(lambda: [codec.decode(kind, v) for v in values], size=size),
    }


if __name__ == "__main__":
    if "--quick" in sys.argv[1:]:
        with TemporaryDirectory() as temporary:
            main(quick=True, folder=Path(temporary))
    else:
        main()
