"""Keyed states of a shard: its buckets' sums by key, written less often than the rest.

They can be larger than all the rest, and every batch adds to them. So they lie in table values of
their own, which are written once enough was added, and at the latest with every sixteenth flush of
the shard. Each has a chain and a position of its own: it is read from where it was written, as a
bucket that is behind others.
"""

from collections.abc import Iterator, Mapping

from consumers.aggregation.advance import Partial, advanced
from consumers.aggregation.shards import (
    SequenceGap,
    check_keyed_state,
    is_complete,
    moved_to,
    new_keyed,
    with_keyed_statistics,
)
from consumers.plan import Plan
from streams.records.partials import BucketState
from streams.records.tallies import BucketTally
from streams.wire import codec

SHARE = 4  # of the entries held, of which as many are added before all are written
MOST_FLUSHES = 16


def keyed_key(shard: int, bucket: int) -> bytes:
    """Return the table key of a bucket's sums by key."""
    return f"{shard}/{bucket}/keyed".encode()


class KeyedStates:
    """The keyed states of a shard, none if the run has no sums by key."""

    def __init__(self, plan: Plan, shard: int, stored: Mapping[bytes, bytes]) -> None:
        """Read them from the shard's table; raises RecordError for one that is not of the run."""
        self._plan, self._shard = plan, shard
        self.states: dict[int, BucketState] = {}
        for bucket in plan.buckets_of(shard) if plan.layout.keyed else ():
            value = stored.get(keyed_key(shard, bucket))
            state = new_keyed(plan, shard, bucket)
            if value is not None:
                state = codec.decode(BucketState, value)
                check_keyed_state(plan, state)
            self.states[bucket] = state
        self._dirty: set[int] = set()
        self._added = self._flushes = 0
        self._refused = False
        self._held = _entries(self.states)

    def apply(
        self, offset: int, found: Partial, tallies: Mapping[int, BucketTally]
    ) -> SequenceGap | None:
        """Take a partial into every state that has not seen it; return the gap before it.

        tallies: those of statistics, by bucket.
        """
        gap = None
        for bucket, state in self.states.items():
            if offset <= state.position:
                continue
            tally = tallies.get(bucket)
            after = advanced(self._plan, state, found, tally, offset, with_keyed_statistics)
            if isinstance(after, SequenceGap):
                gap = after
                continue
            self._added += sum(len(each.key) for each in tally.keyed) if tally else 0
            self.states[bucket] = after
            self._dirty.add(bucket)
        return gap

    def pass_over(self, offset: int) -> None:
        """Note that the record at ``offset`` was refused: the next flush writes that, so that no
        start refuses it again."""
        for bucket, state in self.states.items():
            if offset > state.position:
                self.states[bucket] = moved_to(state, offset)
                self._dirty.add(bucket)
                self._refused = True

    def flush(self) -> Iterator[tuple[bytes, BucketState]]:
        """Yield key and state of those that changed, if it is time, and take them as written."""
        self._flushes += 1
        due = self._added * SHARE > self._held or self._flushes >= MOST_FLUSHES
        if not self._dirty or not (due or self._refused or self.is_complete()):
            return
        dirty, self._dirty = sorted(self._dirty), set()
        self._added, self._flushes, self._refused = 0, 0, False
        self._held = _entries(self.states)
        for bucket in dirty:
            yield keyed_key(self._shard, bucket), self.states[bucket]

    def is_complete(self) -> bool:
        """Return whether all have seen the whole corpus."""
        return all(is_complete(state) for state in self.states.values())


def _entries(states: Mapping[int, BucketState]) -> int:
    return sum(len(each.key) for state in states.values() for each in state.keyed)
