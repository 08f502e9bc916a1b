"""Connection pool: idle connections are lent again; opening one costs about ten short reads."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Generic, TypeVar

T = TypeVar("T")

IDLE_SECONDS = 300.0
"""How long one may lie idle: after that what it knows of the broker is rather asked anew."""


class ConnectionPool(Generic[T]):
    """Lends connections, each to one borrower at a time; safe to use from several threads.

    make: opens one. end: closes one; it does not raise. seconds: that an idle one is kept.
    """

    def __init__(
        self,
        make: Callable[[], T],
        end: Callable[[T], None],
        seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._end = end
        self._seconds = seconds
        self._clock = clock
        self._idle: list[tuple[float, T]] = []
        # A generator may be closed, and give its own back, wherever the collector runs.
        self._lock = RLock()
        self._closed = False

    def take(self) -> T:
        """Return one that lay idle, or else a new one."""
        now = self._clock()
        with self._lock:
            fresh = [entry for entry in self._idle if now - entry[0] <= self._seconds]
            stale = [entry for entry in self._idle if now - entry[0] > self._seconds]
            taken = fresh.pop() if fresh else None
            self._idle = fresh
        for _, one in stale:
            self._end(one)
        return self._make() if taken is None else taken[1]

    def give_back(self, one: T) -> None:
        """Keep one that works and has nothing under way."""
        with self._lock:
            kept = not self._closed
            if kept:
                self._idle.append((self._clock(), one))
        if not kept:
            self._end(one)

    @contextmanager
    def lent(self) -> Iterator[T]:
        """Yield one for a block; after an error nobody else gets it.

        A generator that is closed in the block has come to no harm.
        """
        one = self.take()
        whole = False
        try:
            yield one
            whole = True
        except GeneratorExit:
            whole = True
            raise
        finally:
            (self.give_back if whole else self._end)(one)

    def clear(self) -> None:
        """Close those that lie idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, one in idle:
            self._end(one)

    def close(self) -> None:
        """Close those that lie idle, and from now on every one that comes back."""
        with self._lock:
            self._closed = True
        self.clear()
