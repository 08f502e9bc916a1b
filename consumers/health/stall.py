"""Stalls: how long there has been lag without progress; pure values, fed by the watchdog."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from streams.records.partials import BucketState


@dataclass(frozen=True, slots=True)
class Stall:
    """Since when there is work and nothing was done of it.

    limit: seconds, 0 for no limit. since: None before the first look. done: anything that changes
    when work is done.
    """

    limit: float
    since: float | None = None
    done: Hashable = None

    def after(self, now: float, lag: int, done: Hashable) -> "Stall":
        """Return the stall as it stands now."""
        moves = self.since is None or lag <= 0 or done != self.done
        return replace(self, since=now if moves else self.since, done=done)

    def lasts(self, now: float) -> bool:
        """Return whether it has lasted for the limit."""
        return self.limit > 0 and self.since is not None and now - self.since >= self.limit


@dataclass(frozen=True, slots=True)
class UnfilledGap:
    """Batches that a bucket lacks though it knows how many there are: all after ``last``."""

    shard: int
    bucket: int
    partition: int
    last: int
    batches: int

    def sentence(self, run: str) -> str:
        """Return what is wrong and what to do."""
        return (
            f"run {run}: shard {self.shard}, bucket {self.bucket} applied partition "
            f"{self.partition} up to batch {self.last} and lacks batch {self.last + 1} of "
            f"{self.batches}, which nobody is going to send: stop the activation workers, run "
            f"`millrace repair --run {run}` and start them again"
        )


def gaps(states: Iterable[BucketState]) -> Iterator[UnfilledGap]:
    """Yield what is missing of partitions whose end record was seen."""
    for state in states:
        for partition, batches in enumerate(state.batches.tolist()):
            last = int(state.chain[partition])
            if last + 1 < batches:
                yield UnfilledGap(state.shard, state.bucket, partition, last, batches)


def unreachable(
    states: Iterable[BucketState], first: Mapping[int, int]
) -> Iterator[tuple[int, int, int]]:
    """Yield shard, partition and sequence of what is missing and lies before the corpus' log.

    first: the first sequence that is still in the log, for partitions that were cut.
    """
    for state in states:
        for partition, sequence in first.items():
            wanted = int(state.chain[partition]) + 1
            if wanted < sequence and wanted != int(state.batches[partition]):
                yield state.shard, partition, wanted


def reached(states: Iterable[BucketState]) -> tuple[int, ...]:
    """Return, per source partition, the last sequence that all of these buckets have applied."""
    return tuple(min(column) for column in zip(*(s.chain.tolist() for s in states), strict=True))
