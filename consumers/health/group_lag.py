"""Lag of a consumer group: how far it has come, as anybody can see it from the broker."""

from dataclasses import dataclass

from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a group has come in a partition: offsets of the first record kept, of the first one
    that is not acknowledged, which may be gone, and behind the last."""

    start: int
    acknowledged: int
    end: int

    @property
    def at(self) -> int:
        """The first record kept that is not acknowledged."""
        return max(self.acknowledged, self.start)

    @property
    def lag(self) -> int:
        """Records that are not acknowledged."""
        return max(0, self.end - self.at)


def readings(client: Client, group: str, topic: str) -> dict[int, Reading]:
    """Return how far a group has acknowledged each partition of a topic."""
    committed = client.committed(group, topic)
    starts, ends = client.starts(topic), client.ends(topic)
    return {p: Reading(starts[p], committed.get(p, 0), ends[p]) for p in ends}


def lag(client: Client, group: str, topic: str) -> tuple[int, int]:
    """Return how many records of a topic a group has acknowledged, and how many there are."""
    found = readings(client, group, topic).values()
    return sum(r.at - r.start for r in found), sum(r.end - r.start for r in found)
