"""Progress of a source partition in one assignment: delivered, taken, acknowledged, committed."""

from typing import Generic, Protocol, TypeVar
from weakref import WeakSet

from streams.errors import LostInputError

_HOLES_ALLOWED = 10


class Record(Protocol):
    """What is handed over; compared by identity."""

    @property
    def offset(self) -> int:
        """Where it stands in its partition."""


R = TypeVar("R", bound=Record)


class PartitionProgress(Generic[R]):
    """A partition of the current assignment. A new assignment begins with a new object.

    ``next_out`` is handed to the agent next, ``next_in`` is what the agent processes next, and
    everything below ``acknowledged`` is done with. Records that an earlier object handed over are
    unknown to this one, so that their acknowledgements do not count.
    """

    def __init__(self, name: str, start: int) -> None:
        self.name = name
        self.next_out = start
        self.next_in = start
        self.acknowledged = start
        self._done: set[int] = set()
        self._handed_over: WeakSet[R] = WeakSet()
        self._since_seek: WeakSet[R] = WeakSet()
        self._holes = 0

    def hand_over(self, record: R) -> None:
        """Note that the record at ``next_out`` goes to the agent."""
        self.next_out = record.offset + 1
        self._holes = 0
        self._handed_over.add(record)
        self._since_seek.add(record)

    def found_hole(self, offset: int) -> None:
        """Note that ``offset`` came instead of ``next_out``.

        Raises LostInputError when the log itself has the hole, so that seeking back does not help.
        """
        self._holes += 1
        if self._holes > _HOLES_ALLOWED:
            raise LostInputError(
                f"{self.name}: offset {self.next_out} is missing from the log, which goes on at "
                f"{offset}; start a new run"
            )

    def handed_over(self, record: R) -> bool:
        """Tell whether this assignment handed the record over."""
        return record in self._handed_over

    def is_current(self, record: R) -> bool:
        """Tell whether the record was handed over since the last seek."""
        return record in self._since_seek

    def is_next(self, record: R) -> bool:
        """Tell whether the agent may process the record now."""
        return record.offset == self.next_in and self.is_current(record)

    def seek_back(self) -> int:
        """Return the offset to hand over again from; what the agent has queued is void."""
        self._since_seek = WeakSet()
        self.next_out = self.next_in
        return self.next_in

    def acknowledge(self, record: R) -> bool:
        """Note that the record is done with; tell whether this assignment handed it over."""
        if not self.handed_over(record):
            return False
        self._done.add(record.offset)
        while self.acknowledged in self._done:
            self._done.remove(self.acknowledged)
            self.acknowledged += 1
        return True
