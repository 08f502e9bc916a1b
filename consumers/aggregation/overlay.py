"""Overlay: decoded states of owned shards between two table writes, and where to start reading.

A thin shell around the pure functions of ``shards`` and ``pending``: it knows which buckets changed
since the last flush, and where each shard's input has to start.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from consumers.aggregation.advance import Partial, advanced
from consumers.aggregation.keyed_states import KeyedStates
from consumers.aggregation.pending_hits import (
    LEAST,
    PendingHits,
    no_pending_hits,
    settled,
    with_part,
    with_shares,
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
    with_statistics,
)
from consumers.plan import Plan
from streams import topics
from streams.errors import ShapeError, UndecodableError
from streams.records.hits import best, no_hits
from streams.records.partials import BucketState, HitsPart, SnapshotRequest, SourceEnd, Statistics
from streams.snapshots.manifests import FINAL
from streams.wire import codec


@dataclass(frozen=True, slots=True)
class Applied:
    """What a record led to: the gap that kept it out, or the snapshots that can be taken now."""

    gap: SequenceGap | None = None
    requests: tuple[SnapshotRequest, ...] = ()
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
        self._keyed: dict[int, KeyedStates] = {}
        self._pending: dict[int, PendingHits] = {}
        self._dirty: set[tuple[int, int]] = set()
        self._requests: dict[int, tuple[SnapshotRequest, ...]] = {}

    @property
    def shards(self) -> tuple[int, ...]:
        """The shards that are loaded, ascending."""
        return tuple(sorted(self._states))

    def drop(self) -> None:
        """Forget everything, as after losing an assignment."""
        self._states.clear()
        self._keyed.clear()
        self._pending.clear()
        self._dirty.clear()
        self._requests.clear()

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
                # Older programs kept sums by key here: those are added up again from the start.
                states[bucket] = replace(stored_state, hits=hits, keyed=(), names=())
        self._keyed[shard] = KeyedStates(self._plan, shard, stored)
        self._requests.pop(shard, None)
        every = list(states.values())
        self._take(shard, every, no_pending_hits(self._plan, every, self._least_pending))

    def start(self, shard: int) -> int:
        """Return the first offset of the shard's input that some bucket has not seen."""
        return min(state.position for state in self._every(shard)) + 1

    def _every(self, shard: int) -> Iterator[BucketState]:
        """Yield all states of a shard, the keyed ones after the others."""
        yield from self._states[shard].values()
        yield from self._keyed[shard].states.values()

    def apply(self, shard: int, offset: int, found: Partial) -> Applied:
        """Take a checked partial into every bucket of its shard that has not seen it."""
        taken = False
        if isinstance(found, HitsPart):
            # Also for buckets that have seen them: a join takes nothing twice.
            self._pending[shard] = with_part(self._pending[shard], found.hits)
        tallies = {t.bucket: t for t in found.tallies} if isinstance(found, Statistics) else {}
        gap = self._keyed[shard].apply(offset, found, tallies)
        for bucket, state in self._states[shard].items():
            if offset <= state.position:
                continue
            tally = tallies.get(bucket)
            after = advanced(self._plan, state, found, tally, offset, with_statistics)
            if isinstance(after, SequenceGap):
                gap = after
                continue
            taken = True
            self._states[shard][bucket] = after
            self._dirty.add((shard, bucket))
        if self._pending[shard].is_due:
            self._settle(shard)
        requests = self._possible(shard, offset, found)
        tokens = found.tokens if taken and isinstance(found, Statistics) else 0
        return Applied(gap, requests, tokens)

    def _possible(self, shard: int, offset: int, found: Partial) -> tuple[SnapshotRequest, ...]:
        """Return the requests for snapshots that can be taken: all states stand at one record."""
        asked = self._requests.pop(shard, ())
        asked += (found,) if isinstance(found, SnapshotRequest) else ()
        if asked and any(state.position > offset for state in self._every(shard)):
            self._requests[shard] = asked  # as after a restart, until the last has caught up
            return ()
        return asked

    def pass_over(self, shard: int, offset: int) -> None:
        """Note that the record at ``offset`` was refused: the shard's input goes on behind it."""
        self._keyed[shard].pass_over(offset)
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
        keyed = [(s, *each) for s, states_of in self._keyed.items() for each in states_of.flush()]
        for shard, bucket, state in states:
            yield shard, bucket_key(shard, bucket), codec.encode(state)
        for shard, key, state in keyed:
            yield shard, key, codec.encode(state)

    def states(self, shard: int) -> list[BucketState]:
        """Return the states of a shard's buckets, in order."""
        self._settle(shard)
        return self.outlines(shard)

    def outlines(self, shard: int) -> list[BucketState]:
        """Return the same, whose tables may lack the latest hits: that takes no time."""
        states, keyed = self._states[shard], self._keyed[shard].states
        if not keyed:
            return list(states.values())
        return [
            replace(state, keyed=keyed[bucket].keyed, names=keyed[bucket].names)
            for bucket, state in states.items()
        ]

    def _settle(self, shard: int) -> None:
        pending = self._pending[shard]
        if pending.count:
            after = settled(self._plan, pending, self._least_pending)
            self._take(shard, self._states[shard].values(), after)

    def _take(self, shard: int, states: Iterable[BucketState], pending: PendingHits) -> None:
        shares = with_shares(self._plan, states, pending)
        self._states[shard] = {state.bucket: state for state in shares}
        self._pending[shard] = pending

    def knows(self, shard: int, found: Partial) -> bool:
        """Return whether these are statistics that every bucket has applied before."""
        return isinstance(found, Statistics) and all(
            found.sequence <= state.chain[found.partition]
            for state in self._every(shard)
            if found.first <= state.bucket < found.stop
        )

    def is_complete(self, shard: int) -> bool:
        """Return whether a shard has seen the whole corpus."""
        return all(is_complete(state) for state in self._every(shard))
