"""What activation agents send to aggregators, one topic per run, one partition per shard."""

from dataclasses import dataclass
from typing import ClassVar

from streams.arrays import F32, I64
from streams.names import Name
from streams.records.hits import Hits
from streams.records.packed_hits import PackedHits, pack_hits, unpack_hits
from streams.records.tallies import (
    BucketTally,
    KeyedSums,
    KeyNames,
    PackedTallies,
    pack_tallies,
    unpack_tallies,
)
from streams.wire import codec


@dataclass(frozen=True, slots=True, eq=False)
class PackedHitsPart:
    """How a HitsPart travels."""

    run: str
    shard: int
    partition: int
    sequence: int
    hits: PackedHits

    def unpacked(self) -> "HitsPart":
        """Return the part; raises ShapeError unless the columns of its hits fit each other."""
        hits = unpack_hits(self.hits, self.partition, self.sequence)
        return HitsPart(self.run, self.shard, self.partition, self.sequence, hits)


@dataclass(frozen=True, slots=True, eq=False)
class HitsPart:
    """Hits of one batch for one shard; a join, so it may come twice and in any order.

    Tables are numbered within the shard: cluster of the shard times tables of a
    cluster plus table.
    """

    PACKED: ClassVar[type] = PackedHitsPart

    run: str
    shard: int
    partition: int
    sequence: int
    hits: Hits

    def packed(self) -> PackedHitsPart | None:
        """Return how it travels; None if its hits are not those of its batch, by rising table."""
        hits = pack_hits(self.hits, self.partition, self.sequence)
        if hits is None:
            return None
        return PackedHitsPart(self.run, self.shard, self.partition, self.sequence, hits)


@dataclass(frozen=True, slots=True, eq=False)
class PackedStatistics:
    """How Statistics travel: the fields of the record, its tallies in one set of columns."""

    run: str
    shard: int
    partition: int
    sequence: int
    first: int
    stop: int
    tokens: int
    rows: int
    refused: bool
    tallies: PackedTallies
    names: tuple[KeyNames, ...] = codec.later(())

    def unpacked(self) -> "Statistics":
        """Return the record; raises ShapeError unless the columns of its tallies fit each other."""
        return Statistics(
            self.run,
            self.shard,
            self.partition,
            self.sequence,
            self.first,
            self.stop,
            self.tokens,
            self.rows,
            self.refused,
            unpack_tallies(self.tallies),
            self.names,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """The chained record of one batch for the buckets first to stop - 1 of one shard.

    Sent also when nothing fired. tokens and rows: valid ones in the batch. refused: the batch is a
    dead letter and only advances the chain. tallies: those of the buckets in which something fired.
    names: texts behind keys of keyed sums, in every bucket's record. Each bucket of a shard is
    covered by exactly one record of a batch.
    """

    PACKED: ClassVar[type] = PackedStatistics

    run: str
    shard: int
    partition: int
    sequence: int
    first: int
    stop: int
    tokens: int
    rows: int
    refused: bool
    tallies: tuple[BucketTally, ...] = ()
    names: tuple[KeyNames, ...] = codec.later(())

    def packed(self) -> PackedStatistics | None:
        """Return how they travel; None if the columns of a tally do not fit each other."""
        tallies = pack_tallies(self.tallies)
        if tallies is None:
            return None
        return PackedStatistics(
            self.run,
            self.shard,
            self.partition,
            self.sequence,
            self.first,
            self.stop,
            self.tokens,
            self.rows,
            self.refused,
            tallies,
            self.names,
        )


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """The end record of a source partition, forwarded to every shard: ``batches`` is its length."""

    run: str
    shard: int
    partition: int
    batches: int


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Asks every shard to write a part of its state as it stands when this record is reached."""

    run: str
    shard: int
    snapshot: Name


@dataclass(frozen=True, slots=True, eq=False)
class BucketState:
    """The value of a table key: everything known of one bucket, changed in one write.

    position: offset of the last record of the shard's input in it, -1 for none. chain: last
    sequence applied per source partition, -1 for none. batches: length per source partition, -1
    while unknown. tokens, rows, refused: totals. counts: sums at the addresses of the layout. sums,
    low, high: its moments. hits: the tables, numbered within the bucket. keyed and names: by number
    of the keyed accumulator.
    """

    run: str
    shard: int
    bucket: int
    position: int
    chain: I64
    batches: I64
    tokens: int
    rows: int
    refused: int
    counts: I64
    sums: I64
    low: F32
    high: F32
    hits: Hits
    keyed: tuple[KeyedSums, ...] = codec.later(())
    names: tuple[KeyNames, ...] = codec.later(())
