"""Clusters of one clustering with their examples, in batches, from one pass over the files.

Rows of the tables lie in the order of the clusters' numbers, so that only a batch is in memory.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.exporters.bands import RANKING as INTERVALS
from downstream.exporters.bands import picked
from downstream.exporters.cluster_ranges import SINGLES, ClusterRange
from downstream.exporters.samples import SampleIds
from downstream.exporters.token_strings import TokenStrings
from downstream.reading.snapshot import Snapshot
from streams.arrays import F32, I32, I64
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_pieces
from streams.snapshots.tables import CLUSTERS, HITS

_PIECE = 4096
_BEST = -1
_HITS = ("cluster", "ranking", "rank", "score", "sample", "peak", "partition", "sequence", "row")
_ROWS = ("positions", "activations")
_NUMBERS = tuple(c.name for c in CLUSTERS.columns if c.name != "dropped_members")


def float32(value: Any) -> float:
    """Return the shortest decimal number that reads as the same float32."""
    return float(str(np.float32(value)))


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """A max-activating example as formats want it.

    number: of its sample. sample: the sample's key. ids, tokens: one per position. positions: where
    it is active, ascending; activations: float32, there; shown: the same as the shortest decimal
    numbers that read as these float32.
    """

    ranking: str
    rank: int
    score: float
    peak: int
    number: int
    sample: bytes
    ids: I32
    tokens: list[str]
    positions: I32
    activations: F32
    shown: list[float]

    def values(self, rounded: Callable[[float], float] | None = None) -> list[float]:
        """Return the activation at every position, as ``shown``; 0.0 where it is not active."""
        found = [0.0] * len(self.ids)
        values = self.shown if rounded is None else map(rounded, self.shown)
        for position, value in zip(self.positions.tolist(), values, strict=True):
            found[position] = value
        return found


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """A cluster. index: its place in the clustering, for a feature its index in the source.

    numbers: its row of the table ``clusters``. examples: by rank. bands: more of them by band, see
    bands.py, the highest first.
    """

    index: int
    label: str
    members: tuple[str, ...]
    numbers: Mapping[str, Any]
    examples: Sequence[ExampleRow]
    bands: Mapping[int, Sequence[ExampleRow]]


@dataclass(frozen=True)
class ClusterBatch:
    """Some clusters in the order of their numbers; nothing is made of them before it is asked for.

    number: of the batch. indices: the clusters' places in the clustering. edges: of the run's bins.
    per_band: examples of each band.
    """

    number: int
    indices: Sequence[int]
    clusters: pa.Table
    hits: pa.Table
    first: int
    samples: SampleIds
    strings: TokenStrings
    edges: Sequence[float]
    per_band: int

    def rows(self) -> Iterator[ClusterRow]:
        """Yield the clusters."""
        chosen, band_of = self._chosen()
        hits = _HitColumns(chosen, self.samples)
        for row in self.clusters.to_pylist():
            begin, end = np.searchsorted(hits.cluster, [row["cluster"], row["cluster"] + 1])
            groups: dict[int, list[ExampleRow]] = {}
            for at in range(int(begin), int(end)):
                groups.setdefault(band_of[at], []).append(self._example(hits, at))
            yield ClusterRow(
                index=row["cluster"] - self.first,
                label=row["label"],
                members=tuple(row["members"]),
                numbers=row,
                examples=groups.pop(_BEST, []),
                bands=groups,
            )

    def _chosen(self) -> tuple[pa.Table, Sequence[int]]:
        """Return the hits that become examples, and the band of each, -1 for the best."""
        if not self.per_band:
            return self.hits, [_BEST] * len(self.hits)
        best = pc.not_equal(self.hits["ranking"], INTERVALS).to_pylist()
        scores: list[float] = self.hits["score"].to_pylist()
        own: I64 = self.hits["cluster"].to_numpy()
        highest = self.clusters["max_activation"].to_pylist()
        found: list[tuple[int, int]] = []
        for cluster, high in zip(self.clusters["cluster"].to_pylist(), highest, strict=True):
            begin, end = (int(at) for at in np.searchsorted(own, [cluster, cluster + 1]))
            found += [(_BEST, at) for at in range(begin, end) if best[at]]
            rest = [at for at in range(begin, end) if not best[at]]
            picks = picked([scores[at] for at in rest], high, self.edges, self.per_band)
            found += [(band, rest[place]) for band, place in picks]
        return self.hits.take([at for _, at in found]), [band for band, _ in found]

    def _example(self, hits: "_HitColumns", at: int) -> ExampleRow:
        number = int(hits.number[at])
        ids = self.samples.ids(number)
        inside = slice(hits.bounds[at], hits.bounds[at + 1])
        return ExampleRow(
            ranking=hits.ranking[at],
            rank=hits.rank[at],
            score=hits.score[at],
            peak=hits.peak[at],
            number=number,
            sample=hits.sample[at],
            ids=ids,
            tokens=self.strings.row(ids.tolist()),
            positions=hits.positions[inside],
            activations=hits.activations[inside],
            shown=hits.shown[inside],
        )


class _HitColumns:
    """The hits of a batch as arrays and lists, which are quick to take values from.

    bounds: where the positions and activations of each hit begin, and where the last ones end.
    """

    def __init__(self, hits: pa.Table, samples: SampleIds) -> None:
        self.cluster: I64 = hits["cluster"].to_numpy()
        self.number = samples.numbers(hits)
        self.ranking: list[str] = hits["ranking"].to_pylist()
        self.rank: list[int] = hits["rank"].to_pylist()
        self.score: list[float] = hits["score"].to_pylist()
        self.peak: list[int] = hits["peak"].to_pylist()
        self.sample: list[bytes] = hits["sample"].to_pylist()
        lengths: I64 = pc.list_value_length(hits["positions"]).to_numpy()
        self.bounds: list[int] = np.r_[0, np.cumsum(lengths)].tolist()
        self.positions: I32 = pc.list_flatten(hits["positions"]).to_numpy()
        flat = pc.list_flatten(hits["activations"])
        self.activations: F32 = flat.to_numpy()
        self.shown: list[float] = [float(text) for text in pc.cast(flat, pa.string()).to_pylist()]


@dataclass(frozen=True)
class ClusterStream:
    """The clusters of a range in batches.

    ranking: whose ``most`` best examples are read. per_band: how many of each band, from the
    ranking ``intervals``. wanted: places in the clustering, all if None. size: clusters of a batch.
    """

    snapshot: Snapshot
    range: ClusterRange
    samples: SampleIds
    strings: TokenStrings
    ranking: str
    most: int
    per_band: int = 0
    wanted: Collection[int] | None = None
    size: int = 128

    @property
    def source(self) -> str:
        """The source whose features these are."""
        return self.range.clustering.removeprefix(SINGLES)

    def batches(self) -> Iterator[ClusterBatch]:
        """Yield the batches, in the order of the clusters' numbers."""
        hits = _Hits(self.snapshot, self.ranking, self.most, bands=self.per_band > 0)
        kept: list[pa.Table] = []
        number = 0
        for table in self._clusters():
            kept.append(table)
            while sum(map(len, kept)) >= self.size:
                rows = pa.concat_tables(kept)
                yield self._batch(number, rows.slice(0, self.size), hits)
                kept, number = [rows.slice(self.size)], number + 1
        if sum(map(len, kept)):
            yield self._batch(number, pa.concat_tables(kept), hits)

    def _batch(self, number: int, clusters: pa.Table, hits: "_Hits") -> ClusterBatch:
        own: I64 = clusters["cluster"].to_numpy()
        found = hits.take(int(own[0]), int(own[-1]) + 1)
        indices: list[int] = (own - self.range.first).tolist()
        return ClusterBatch(
            number=number,
            indices=indices,
            clusters=clusters,
            hits=found,
            first=self.range.first,
            samples=self.samples,
            strings=self.strings,
            edges=self.snapshot.about["edges"],
            per_band=self.per_band,
        )

    def _clusters(self) -> Iterator[pa.Table]:
        manifest = self.snapshot.manifest
        for pieces in read_pieces(manifest, "clusters", columns=_NUMBERS, size=_PIECE):
            for piece in pieces:
                table = pa.Table.from_batches([piece])
                own: I64 = table["cluster"].to_numpy()
                keep = (own >= self.range.first) & (own < self.range.stop)
                if self.wanted is not None:
                    keep &= np.isin(own - self.range.first, list(self.wanted))
                yield table.filter(pa.array(keep))


class _Hits:
    """The hits of a snapshot, taken in the order of the clusters' numbers."""

    def __init__(self, snapshot: Snapshot, ranking: str, most: int, *, bands: bool) -> None:
        files = read_pieces(snapshot.manifest, "hits", columns=(*_HITS, *_ROWS), size=_PIECE)
        keep = partial(_kept, ranking=ranking, most=most, all_of=INTERVALS if bands else "")
        self._pieces = (keep(piece) for pieces in files for piece in pieces if len(piece))
        self._pending: list[pa.Table] = []
        self._last = -1
        self._ended = False

    def take(self, first: int, stop: int) -> pa.Table:
        """Return the hits of clusters first to stop - 1; those before are passed over."""
        while not self._ended and self._last < stop:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            last, own = piece
            if last < self._last:
                raise SnapshotError("the rows of the table hits are not in the order of its key")
            self._last = last
            self._pending.append(own.filter(pc.greater_equal(own["cluster"], first)))
        if not self._pending:
            return _empty()
        rows = pa.concat_tables(self._pending).combine_chunks()
        begin, end = np.searchsorted(rows["cluster"].to_numpy(), [first, stop])
        self._pending = [rows.slice(end)]
        return rows.slice(begin, end - begin)


def _kept(piece: pa.RecordBatch, *, ranking: str, most: int, all_of: str) -> tuple[int, pa.Table]:
    """Return the last cluster of a piece, and its hits that are wanted."""
    table = pa.Table.from_batches([piece])
    last: int = table["cluster"][len(table) - 1].as_py()
    best = pc.and_(pc.less(table["rank"], most), pc.equal(table["ranking"], ranking))
    return last, table.filter(pc.or_(best, pc.equal(table["ranking"], all_of)))


def _empty() -> pa.Table:
    return HITS.schema.empty_table().select([*_HITS, *_ROWS])
