"""Feature extraction as the service does it, from activations to the tables of the best."""

from dataclasses import replace

import numpy as np

from benchmarks.references.features import POSITIONS, Example
from consumers.activations.engine import Activations
from consumers.compiled import compiled
from consumers.plan import Plan
from consumers.selection.batch_tally import BatchTally
from consumers.selection.selection import select, with_rows
from consumers.selection.topk_filter import TopKFilter
from streams.arrays import F32, I32, I64, AnyArray, Bool
from streams.records.corpus import TokenBatch
from streams.records.hits import Hits, best, join


class Extraction:
    """What an activation worker does between the engine and the wire, and the tables after it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.topk_filter = TopKFilter(plan.clusters * plan.tables, plan.table_k)
        self.tallies: list[BatchTally] = []
        self.hits: list[Hits] = []

    def add(self, batch: TokenBatch, valid: Bool, activations: Activations) -> tuple[Hits, int]:
        """Take a batch into account; return the hits a worker sends, and of how many candidates."""
        selection = select(self.plan, batch, valid, activations, self.topk_filter.least)
        self.topk_filter.see(selection.candidates)
        winners = np.flatnonzero(self.topk_filter.unbeaten(selection.candidates))
        self.tallies.append(selection.tally)
        self.hits.append(with_rows(selection, winners))
        return self.hits[-1], len(selection.candidates)

    def forget(self) -> None:
        """Drop tallies and hits, as if sent; what stands stays."""
        self.tallies.clear()
        self.hits.clear()

    def tables(self) -> Hits:
        """Return the best hits of all batches so far."""
        return best(join(self.hits), self.plan.table_k)


def five_best(hits: Hits) -> tuple[I64, I64]:
    """Return the best positive positions of each hit of a cluster of one.

    entry: indices into the hits' entries, hit by hit, value descending and position ascending.
    count [hit]: how many of them, at most five.
    """
    entry, count = np.empty(len(hits) * POSITIONS, np.int64), np.empty(len(hits), np.int64)
    found = _best_entries(hits.rows, hits.value, POSITIONS, entry, count)
    return entry[:found], count


@compiled
def _best_entries(rows: I32, value: F32, most: int, entry: AnyArray, count: AnyArray) -> int:
    first, n = 0, 0
    for hit in range(len(rows)):
        held = 0
        for i in range(first, first + rows[hit]):
            if value[i] > 0 and (held < most or value[i] > value[entry[n + held - 1]]):
                # Sorted into those before it, behind its equals; the last of too many is lost.
                held = min(held + 1, most)
                to = n + held - 1
                while to > n and value[entry[to - 1]] < value[i]:
                    entry[to] = entry[to - 1]
                    to -= 1
                entry[to] = i
        count[hit] = held
        first += rows[hit]
        n += held
    return n


def examples(hits: Hits, features: int) -> list[list[Example]]:
    """Return tables in the form of the references: per feature its examples, best first."""
    entry, count = five_best(hits)
    positions, values = hits.position[entry].tolist(), hits.value[entry].tolist()
    ends = np.cumsum(count)
    found: list[list[Example]] = [[] for _ in range(features)]
    for at, (table, score, high, low, peak) in enumerate(
        zip(
            hits.table.tolist(),
            hits.score.tolist(),
            hits.sample_high.tolist(),
            hits.sample_low.tolist(),
            hits.peak.tolist(),
            strict=True,
        )
    ):
        part = slice(int(ends[at] - count[at]), int(ends[at]))
        shown = tuple(positions[part]), tuple(values[part])
        found[table].append(Example(score, -(high << 64 | low), peak, *shown))
    return found


def rows_where_positive(plan: Plan, tallies: list[BatchTally]) -> list[int]:
    """Return in how many rows each cluster was positive."""
    counts = np.zeros(int(plan.layout.at("activation.rows").max()) + 1, np.int64)
    for tally in tallies:
        small = tally.count_at < len(counts)
        counts[tally.count_at[small]] += tally.count[small]
    found: list[int] = counts[plan.layout.at("activation.rows")].tolist()
    return found


def part(
    batch: TokenBatch, activations: Activations, rows: slice
) -> tuple[TokenBatch, Activations]:
    """Return some rows of a batch and their activations, as a batch of its own."""
    here = (activations.row >= rows.start) & (activations.row < rows.stop)
    kept = Activations(
        activations.component[here],
        activations.row[here] - np.int32(rows.start),
        activations.position[here],
        activations.value[here],
    )
    smaller = replace(
        batch,
        ids=batch.ids[rows],
        mask=batch.mask[rows],
        keys=batch.keys[rows],
        documents=batch.documents[rows],
        domains=batch.domains[rows],
        sequence=rows.start,
    )
    return smaller, kept


def varied(
    batch: TokenBatch, activations: Activations, number: int
) -> tuple[TokenBatch, Activations]:
    """Return the batch as new samples, the values of each row scaled by a random number."""
    random = np.random.default_rng(number)
    by = random.lognormal(0, 0.3, len(batch.ids)).astype(np.float32)
    keys = random.integers(0, 256, batch.keys.shape).astype(np.uint8)
    scaled = replace(activations, value=activations.value * by[activations.row])
    return replace(batch, keys=keys, sequence=number), scaled


def integer_keys(keys: AnyArray) -> list[int]:
    """Return sample keys uint8 [row, 16] as integers, which sort the way the keys do."""
    return [int.from_bytes(key.tobytes(), "big") for key in keys]
