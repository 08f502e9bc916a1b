"""Deleting a run whose record cannot be used: what its name says is its own goes, files stay."""

from collections.abc import Iterator
from dataclasses import dataclass

from consumers.runs.deletion import topics_with_records
from consumers.snapshots.snapshots import published
from streams.catalog.runs import groups_of
from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class UnreadableRunRemoval:
    """What goes with such a run. problem: why its record cannot be used.

    topics: those that exist, with their records. snapshots: names of the published ones.
    """

    name: str
    problem: str
    topics: tuple[tuple[str, int], ...]
    snapshots: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield what is going to be removed and what stays, for people."""
        yield self.problem
        yield f"deleting run {self.name} removes"
        yield from (f"  topic {topic} with {n:,} records" for topic, n in self.topics)
        yield from (f"  consumer group {group}" for group in groups_of(self.name))
        if self.snapshots:
            yield f"  the published manifests of snapshots: {', '.join(self.snapshots)}"
        yield f"  the record of run {self.name}"
        yield "whether it is finished cannot be seen"
        yield "the files of its snapshots stay: which store they lie in, only its record says"


def plan_unreadable_removal(client: Client, name: str, problem: str) -> UnreadableRunRemoval:
    """Return what deleting a run by its name alone removes; nothing is removed yet."""
    snapshots = tuple(sorted(published(client, name)))
    return UnreadableRunRemoval(name, problem, topics_with_records(client, name), snapshots)
