"""A consumer group of the embedded broker: members, generations, eager rebalancing, offsets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Step(Enum):
    """What a member has to do next."""

    JOIN = "give up all partitions and join"
    WAIT = "wait for the others"
    LEAD = "compute the assignment of all members"
    TAKE = "take the new assignment"
    STAY = "nothing: go on consuming"


class _State(Enum):
    EMPTY = 0
    JOINING = 1
    SYNCING = 2
    STABLE = 3


@dataclass(slots=True)
class _Member:
    metadata: Any
    session: float
    deadline: float
    wake: Callable[[], None]
    joined: bool = True


@dataclass(slots=True)
class MemoryGroup:
    """The classic protocol of Kafka: any change makes every member give up, join and be assigned.

    Not thread-safe: the broker holds its lock around every call. ``offsets`` are the committed
    ones. ``join_seconds`` is how long members that are still working are waited for.
    """

    clock: Callable[[], float]
    join_seconds: float = 120.0
    generation: int = 0
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    members: dict[str, _Member] = field(default_factory=dict)
    _state: _State = _State.EMPTY
    _join_deadline: float = 0.0
    _assignments: Mapping[str, Any] = field(default_factory=dict)

    def join(self, member: str, session: float, metadata: Any, wake: Callable[[], None]) -> None:
        """Add a member, or take it back after it gave up its partitions."""
        now = self.clock()
        self.members[member] = _Member(metadata, session, now + session, wake)
        if self._state is not _State.JOINING:
            self._restart(joined=member)
        self._complete()

    def leave(self, member: str) -> None:
        """Remove a member; the others share its partitions."""
        if self.members.pop(member, None) is not None:
            self._restart() if self._state is not _State.JOINING else self._complete()

    def next_step(self, member: str, generation: int) -> Step:
        """Return what ``member``, which last took part in ``generation``, has to do."""
        known = self.members.get(member)
        if known is None or (self._state is _State.JOINING and not known.joined):
            return Step.JOIN
        if self._state is _State.SYNCING:
            return Step.LEAD if member == self._leader() else Step.WAIT
        if self._state is _State.STABLE:
            return Step.STAY if generation == self.generation else Step.TAKE
        return Step.WAIT

    def heartbeat(self, member: str) -> None:
        """Prolong a member's session and drop the members whose session is over."""
        if member in self.members:
            self.members[member].deadline = self.clock() + self.members[member].session
        self.expire()

    def expire(self) -> None:
        """Drop members that were silent for too long, or that keep a rebalance waiting."""
        now = self.clock()
        late = self._state is _State.JOINING and now > self._join_deadline
        for name, member in list(self.members.items()):
            if now > member.deadline or (late and not member.joined):
                self.leave(name)

    def metadata(self) -> dict[str, Any]:
        """Return what every member said of itself when it joined."""
        return {name: member.metadata for name, member in self.members.items()}

    def assign(self, member: str, assignments: Mapping[str, Any]) -> None:
        """Accept the assignment that the leader computed; one of an earlier leader is ignored."""
        if self._state is _State.SYNCING and member == self._leader():
            self._assignments = assignments
            self._state = _State.STABLE
            self._wake()

    def assignment(self, member: str) -> tuple[int, Any]:
        """Return the generation and what it assigns to ``member``."""
        return self.generation, self._assignments[member]

    def accepts(self, member: str, generation: int) -> bool:
        """Tell whether commits of this member and generation count."""
        live = self._state in (_State.STABLE, _State.JOINING)
        return member in self.members and generation == self.generation and live

    def _leader(self) -> str:
        return next(iter(self.members))

    def _restart(self, joined: str | None = None) -> None:
        for name, member in self.members.items():
            member.joined = name == joined
        self._state = _State.JOINING if self.members else _State.EMPTY
        self._join_deadline = self.clock() + self.join_seconds
        self._wake()

    def _complete(self) -> None:
        if self._state is _State.JOINING and not self.members:
            self._state = _State.EMPTY
        if self._state is _State.JOINING and all(m.joined for m in self.members.values()):
            self.generation += 1
            self._state = _State.SYNCING
            self._wake()

    def _wake(self) -> None:
        for member in self.members.values():
            member.wake()
