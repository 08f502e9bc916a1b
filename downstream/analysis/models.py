"""Runs of several models over one text compared: features that are active at the same characters.

Tokens of two models are not the same, so a feature's firings are counted in bytes of the text:
those of the tokens at which it is active. They are known in the rows of the ranking ``shared``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.analysis.text_rows import Segments, TextRows, read_text_rows, segments_of
from downstream.reading.shared_firings import Pairs, SharedFirings
from downstream.reading.snapshot import Snapshot
from streams.arrays import I64
from streams.snapshots.tables import Column, TableForm

_BLOCK = 512
_SAMPLED = "in the text in which both are known"

SHARED_TEXTS = TableForm(
    "shared_texts",
    "How much text the stored rows of two runs have in common.",
    ("a", "b"),
    (
        Column("a", pa.int32(), "number of a run, as they were given, from 0 on"),
        Column("b", pa.int32(), "number of another"),
        Column("documents", pa.int64(), "documents with text in common"),
        Column("rows_a", pa.int64(), "stored rows of A with such text", "rows"),
        Column("of_rows_a", pa.int64(), "stored rows of A", "rows"),
        Column("rows_b", pa.int64(), "stored rows of B with such text", "rows"),
        Column("of_rows_b", pa.int64(), "stored rows of B", "rows"),
        Column("bytes", pa.int64(), "text in common, as UTF-8", "bytes"),
    ),
)

MODEL_MATCHES = TableForm(
    "model_matches",
    "The feature of B that is active at most of the same text as a feature of A.",
    ("a", "b", "cluster_a"),
    (
        Column("a", pa.int32(), "number of the run"),
        Column("b", pa.int32(), "number of the other"),
        Column("cluster_a", pa.int32(), "cluster of A"),
        Column("clustering_a", pa.string(), "its clustering; `features/<source>`"),
        Column("label_a", pa.string(), "its label: the feature's index"),
        Column("cluster_b", pa.int32(), "cluster of B"),
        Column("clustering_b", pa.string(), "its clustering"),
        Column("label_b", pa.string(), "its label"),
        Column(
            "both", pa.int64(), f"text at which both are active, {_SAMPLED}", "bytes", "sampled"
        ),
        Column("of_a", pa.int64(), f"text at which A's is, {_SAMPLED}", "bytes", "sampled"),
        Column("of_b", pa.int64(), f"text at which B's is, {_SAMPLED}", "bytes", "sampled"),
        Column("jaccard", pa.float64(), "`both` / text at which one is", "1", "sampled"),
        Column("mutual", pa.bool_(), "each is the other's best"),
    ),
)


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """shared: SHARED_TEXTS, a row for each two runs. matches: MODEL_MATCHES, for each order of two.

    runs: as they were given.
    """

    runs: Sequence[Snapshot]
    shared: pa.Table
    matches: pa.Table
    notes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, eq=False)
class _Side:
    snapshot: Snapshot
    firings: SharedFirings
    rows: TextRows
    chosen: I64  # clusters that are compared

    @classmethod
    def of(cls, snapshot: Snapshot) -> "_Side":
        firings = snapshot.shared_firings
        names = snapshot.clusters["clustering"].to_pylist()
        single = np.array([name.startswith("features/") for name in names], bool)
        return cls(snapshot, firings, read_text_rows(snapshot, firings), np.flatnonzero(single))


@dataclass(frozen=True, eq=False)
class _Spans:
    """Bytes of segments at which clusters are active.

    at: ones, [chosen cluster, byte of all segments]. by_other: how many, [cluster, row of the other
    side]; keys and sums: its entries in order, as one number, and summed up.
    """

    at: Any
    by_other: Any
    keys: I64
    sums: I64

    def until(self, cluster: I64, end: I64) -> I64:
        """Return the bytes in rows of the other side before ``end``."""
        wanted = cluster * self.by_other.shape[1] + end
        before: I64 = np.concatenate([np.zeros(1, np.int64), self.sums])
        first: I64 = before[self.by_other.indptr[cluster]]
        found: I64 = before[np.searchsorted(self.keys, wanted)] - first
        return found


def compare_models(snapshots: Sequence[Snapshot]) -> ModelComparison:
    """Return which single features of several runs are active at the same text.

    The runs read the same documents, under the same ids, with tokenizers of their own. Of two runs
    the rows of the ranking ``shared`` that hold the same text are compared; each snapshot is read
    once. Raises SnapshotError unless every run has that ranking and every snapshot is final.
    """
    sides = [_Side.of(snapshot) for snapshot in snapshots]
    shared, parts, notes = [], [MODEL_MATCHES.schema.empty_table()], list[str]()
    for a in range(len(sides)):
        for b in range(a + 1, len(sides)):
            segments = segments_of(sides[a].rows, sides[b].rows)
            shared.append(_shared(a, b, sides, segments))
            if not len(segments.a):
                notes.append(_nothing(a, b, sides))
            forth, back = _pairs(sides[a], sides[b], segments)
            for (one, other), found, reverse in (((a, b), forth, back), ((b, a), back, forth)):
                parts.append(_table((one, other), sides, found, reverse))
    order = [(name, "ascending") for name in MODEL_MATCHES.key]
    matches = pa.concat_tables(parts).sort_by(order)
    table = pa.Table.from_pylist(shared, schema=SHARED_TEXTS.schema)
    return ModelComparison(tuple(snapshots), table, matches, tuple(notes))


def _shared(a: int, b: int, sides: Sequence[_Side], segments: Segments) -> dict[str, int]:
    names = {sides[a].rows.documents[row] for row in segments.a.tolist()}
    return {
        "a": a,
        "b": b,
        "documents": len(names),
        "rows_a": len(np.unique(segments.a)),
        "of_rows_a": len(sides[a].rows.texts),
        "rows_b": len(np.unique(segments.b)),
        "of_rows_b": len(sides[b].rows.texts),
        "bytes": int(segments.length.sum()),
    }


def _nothing(a: int, b: int, sides: Sequence[_Side]) -> str:
    common = set(sides[a].rows.documents) & set(sides[b].rows.documents)
    why = (
        f"{len(common):,} documents have rows in both, which hold other parts of them"
        if common
        else "no document has rows in both: were they read with the same document ids?"
    )
    return f"runs {a} and {b} have no stored text in common: {why}"


def _pairs(one: _Side, other: _Side, segments: Segments) -> tuple[Pairs, Pairs]:
    """Return the best pairs of each feature of one, and of each of the other."""
    ours = _spans(one, segments.a, segments.start_a, segments, segments.b, len(other.rows.texts))
    theirs = _spans(other, segments.b, segments.start_b, segments, segments.a, len(one.rows.texts))
    ends = one.firings.end[one.chosen], other.firings.end[other.chosen]
    columns: list[list[I64]] = [[], [], []]
    for first in range(0, len(one.chosen), _BLOCK):
        both = (ours.at[first : first + _BLOCK] @ theirs.at.T).tocoo()
        found = (both.row.astype(np.int64) + first, both.col.astype(np.int64), both.data)
        for column, part in zip(columns, found, strict=True):
            column.append(part.astype(np.int64))
    none = np.zeros(0, np.int64)
    a, b, both_at = (np.concatenate([none, *column]) for column in columns)
    of_a, of_b = ours.until(a, ends[1][b]), theirs.until(b, ends[0][a])
    forth = Pairs(one.chosen[a], other.chosen[b], both_at, of_a, of_b)
    back = Pairs(forth.b, forth.a, both_at, of_b, of_a)
    return forth.best(1), back.best(1)


def _spans(
    side: _Side, row: I64, start: I64, segments: Segments, other: I64, others: int
) -> _Spans:
    """Return where the chosen clusters of a side are active.

    row, start: of each segment on this side. other: its row on the other side, of ``others``.
    """
    from scipy import sparse

    fires = side.firings.fires[side.chosen].tocoo()
    rows, position = np.divmod(fires.col.astype(np.int64), side.firings.context)
    order = np.argsort(row, kind="stable")
    held = np.bincount(row, minlength=len(side.rows.texts))  # segments of each row
    first, count = (np.cumsum(held) - held)[rows], held[rows]
    entry = np.repeat(np.arange(len(rows)), count)
    segment = order[first[entry] + _counting(count)]
    offsets = np.cumsum([0, *(len(bounds) for bounds in side.rows.bounds)])
    bounds = np.concatenate([np.zeros(0, np.int64), *side.rows.bounds])
    at = offsets[rows[entry]] + position[entry]
    begin = np.maximum(bounds[at] - start[segment], 0)
    size = np.maximum(
        np.minimum(bounds[at + 1] - start[segment], segments.length[segment]) - begin, 0
    )
    places = np.cumsum(np.r_[0, segments.length])
    cluster = fires.row.astype(np.int64)[entry]
    column = np.repeat(places[segment] + begin, size) + _counting(size)
    shape = (len(side.chosen), int(places[-1]))
    ones = np.ones(len(column), np.int32)
    span = sparse.csr_array((ones, (np.repeat(cluster, size), column)), shape=shape)
    beside = sparse.csr_array(
        (size, (cluster, other[segment])), shape=(len(side.chosen), others), dtype=np.int64
    )
    beside.sum_duplicates()
    number = np.repeat(np.arange(len(side.chosen)), np.diff(beside.indptr))
    keys = number * np.int64(others) + beside.indices
    return _Spans(span, beside, keys, np.cumsum(beside.data))


def _counting(count: I64) -> I64:
    """Return 0, 1, ... for each of so many, one after the other."""
    found: I64 = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return found


def _table(runs: tuple[int, int], sides: Sequence[_Side], found: Pairs, reverse: Pairs) -> pa.Table:
    a, b = (sides[run].snapshot.clusters.arrow for run in runs)
    best = dict(zip(reverse.a.tolist(), reverse.b.tolist(), strict=True))
    mutual = [best[y] == x for x, y in zip(found.a.tolist(), found.b.tolist(), strict=True)]
    return MODEL_MATCHES.table(
        {
            "a": [runs[0]] * len(found.a),
            "b": [runs[1]] * len(found.a),
            "cluster_a": found.a,
            "clustering_a": a["clustering"].take(pa.array(found.a)).combine_chunks(),
            "label_a": a["label"].take(pa.array(found.a)).combine_chunks(),
            "cluster_b": found.b,
            "clustering_b": b["clustering"].take(pa.array(found.b)).combine_chunks(),
            "label_b": b["label"].take(pa.array(found.b)).combine_chunks(),
            "both": found.both,
            "of_a": found.of_a,
            "of_b": found.of_b,
            "jaccard": found.jaccard,
            "mutual": mutual,
        }
    )
