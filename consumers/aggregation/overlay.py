"""Overlay: decoded states of owned shards between two table writes, and where to start reading.

A thin shell around the pure functions of ``shards`` and ``pending``: it knows which buckets changed
since the last flush, and where each shard's input has to start.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from consumers.aggregation.pending_hits import (
    LEAST,
    PendingHits,
    no_pending_hits,
    settled,
    with_part,
)
from consumers.aggregation.shards import (
    SequenceGap,
    check_end,
    check_hits,
    check_state,
    check_statistics,
    is_complete,
    moved_to,
    new_bucket,
    with_end,
    with_statistics,
)
from consumers.plan import Plan
from streams import topics
from streams.errors import ShapeError, UndecodableError
from streams.records.hits import best, no_hits
from streams.records.partials import BucketState, HitsPart, SnapshotRequest, SourceEnd, Statistics
from streams.records.tallies import BucketTally
from streams.snapshots.manifests import FINAL
from streams.wire import codec

Partial = HitsPart | Statistics | SourceEnd | SnapshotRequest


@dataclass(frozen=True, slots=True)
class Applied:
    """What a record led to: the gap that kept it out, or the snapshot that it asks for."""

    gap: SequenceGap | None = None
    request: SnapshotRequest | None = None
    tokens: int = 0


def bucket_key(shard: int, bucket: int) -> bytes:
    """Return the table key of a bucket."""
    return f"{shard}/{bucket}".encode()


def partial(plan: Plan, shard: int, kind: bytes, value: bytes | None) -> Partial:
    """Return the partial that a record holds, checked against the plan; raises RecordError."""
    found: Partial
    if kind == topics.HITS:
        found = codec.decode(HitsPart, value)
        check_hits(plan, found)
    elif kind == topics.STATISTICS:
        found = codec.decode(Statistics, value)
        check_statistics(plan, found)
    elif kind == topics.SOURCE_END:
        found = codec.decode(SourceEnd, value)
        check_end(plan, found)
    elif kind == topics.SNAPSHOT_REQUEST:
        found = codec.decode(SnapshotRequest, value)
        if found.snapshot == FINAL:
            raise ShapeError(f"a request for a snapshot that cannot be named {found.snapshot!r}")
    else:
        raise UndecodableError(f"its header names no kind of partial, {kind!r}")
    if found.shard != shard or found.run != plan.id:
        raise ShapeError(f"a partial for shard {found.shard} of run {found.run} in shard {shard}")
    return found


class Overlay:
    """The states of owned shards, changed record by record and written in groups."""

    def __init__(self, plan: Plan, least_pending: int = LEAST) -> None:
        """Begin without a shard; ``least_pending``: how many hits of a shard may always wait."""
        self._plan = plan
        self._least_pending = least_pending
        self._states: dict[int, dict[int, BucketState]] = {}
        self._pending: dict[int, PendingHits] = {}
        self._dirty: set[tuple[int, int]] = set()

    @property
    def shards(self) -> tuple[int, ...]:
        """The shards that are loaded, ascending."""
        return tuple(sorted(self._states))

    def drop(self) -> None:
        """Forget everything, as after losing an assignment."""
        self._states.clear()
        self._pending.clear()
        self._dirty.clear()

    def load(self, shard: int, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over a shard from its table entries; a missing bucket begins with nothing.

        Raises RecordError if an entry is not a state of this run.
        """
        stored = dict(entries)
        states = {}
        for bucket in self._plan.buckets_of(shard):
            value = stored.get(bucket_key(shard, bucket))
            if value is None:
                states[bucket] = new_bucket(self._plan, shard, bucket)
            else:
                stored_state = codec.decode(BucketState, value)
                check_state(self._plan, stored_state)
                # Merging needs them sorted, which states of older programs are not.
                found = stored_state.hits
                hits = best(found, self._plan.table_k) if len(found) else no_hits()
                states[bucket] = replace(stored_state, hits=hits)
        self._states[shard] = states
        self._pending[shard] = no_pending_hits(
            self._plan, list(states.values()), self._least_pending
        )

    def start(self, shard: int) -> int:
        """Return the first offset of the shard's input that some bucket has not seen."""
        return min(state.position for state in self._states[shard].values()) + 1

    def apply(self, shard: int, offset: int, found: Partial) -> Applied:
        """Take a checked partial into every bucket of its shard that has not seen it."""
        gap, taken = None, False
        if isinstance(found, HitsPart):
            # Also for buckets that have seen them: a join takes nothing twice.
            self._pending[shard] = with_part(self._pending[shard], found.hits)
        tallies = {t.bucket: t for t in found.tallies} if isinstance(found, Statistics) else {}
        for bucket, state in self._states[shard].items():
            if offset <= state.position:
                continue
            after = _after(self._plan, state, found, tallies.get(bucket), offset)
            if isinstance(after, SequenceGap):
                gap = after
                continue
            taken = True
            self._states[shard][bucket] = after
            self._dirty.add((shard, bucket))
        if self._pending[shard].is_due:
            self._settle(shard)
        request = found if isinstance(found, SnapshotRequest) else None
        tokens = found.tokens if taken and isinstance(found, Statistics) else 0
        return Applied(gap, request, tokens)

    def pass_over(self, shard: int, offset: int) -> None:
        """Note that the record at ``offset`` was refused: the shard's input goes on behind it."""
        for bucket, state in self._states[shard].items():
            if offset > state.position:
                self._states[shard][bucket] = moved_to(state, offset)
                self._dirty.add((shard, bucket))

    def flush(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield shard, key and value of every bucket that changed, and take them as written.

        The values are those of the moment when the first is asked for, whatever is applied then.
        """
        dirty, self._dirty = sorted(self._dirty), set()
        for shard in {shard for shard, _ in dirty}:
            self._settle(shard)
        states = [(shard, bucket, self._states[shard][bucket]) for shard, bucket in dirty]
        for shard, bucket, state in states:
            yield shard, bucket_key(shard, bucket), codec.encode(state)

    def states(self, shard: int) -> list[BucketState]:
        """Return the states of a shard's buckets, in order."""
        self._settle(shard)
        return self.outlines(shard)

    def outlines(self, shard: int) -> list[BucketState]:
        """Return the same, whose tables may lack the latest hits: that takes no time."""
        return list(self._states[shard].values())

    def _settle(self, shard: int) -> None:
        pending = self._pending[shard]
        if pending.count:
            states = list(settled(self._plan, self.outlines(shard), pending))
            self._states[shard] = {state.bucket: state for state in states}
            self._pending[shard] = no_pending_hits(self._plan, states, self._least_pending)

    def knows(self, shard: int, found: Partial) -> bool:
        """Return whether these are statistics that every bucket has applied before."""
        return isinstance(found, Statistics) and all(
            found.sequence <= state.chain[found.partition]
            for bucket, state in self._states[shard].items()
            if found.first <= bucket < found.stop
        )

    def is_complete(self, shard: int) -> bool:
        """Return whether a shard has seen the whole corpus."""
        return all(is_complete(state) for state in self._states[shard].values())


def _after(
    plan: Plan, state: BucketState, found: Partial, tally: BucketTally | None, offset: int
) -> BucketState | SequenceGap:
    if isinstance(found, SourceEnd):
        return with_end(state, found, offset)
    if isinstance(found, Statistics) and found.first <= state.bucket < found.stop:
        return with_statistics(plan, state, found, tally, offset)
    return moved_to(state, offset)
