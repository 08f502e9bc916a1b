"""Whether the workers of a process live and are ready, for probes of process managers."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from streams.monitoring.verdict import Verdict

LOOP_SECONDS = 30.0
"""How long the event loop may be silent; a flush of a large state takes a few of them."""


@dataclass(slots=True)
class WorkerHealth:
    """What is known of the apps of this process; fed by them, asked by the endpoint.

    live: the event loop answered in the last ``LOOP_SECONDS`` and nothing has ended a worker, the
    watchdog for one. ready: every app has joined its group, has its assignment and recovered its
    state; the model is loaded before that.
    """

    clock: Callable[[], float] = time.monotonic
    failure: Callable[[], BaseException | None] = lambda: None
    _expected: int | None = None
    _joined: frozenset[int] = frozenset()
    _beat: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def starts(self, apps: int, failure: Callable[[], BaseException | None]) -> None:
        """Note that the model is loaded and how many apps are to join; ``failure`` ended one."""
        with self._lock:
            self._expected, self.failure = apps, failure

    def beats(self) -> None:
        """Note that the event loop runs."""
        self._beat = self.clock()

    def ends(self) -> None:
        """Note that the event loop has ended in order."""
        self._beat = None

    def joined(self, app: int) -> None:
        """Note that an app has its assignment and is about to process it."""
        with self._lock:
            self._joined |= {app}

    def left(self, app: int) -> None:
        """Note that an app lost its assignment, as at the beginning of every rebalance."""
        with self._lock:
            self._joined -= {app}

    def live(self) -> Verdict:
        """Say whether the process should go on."""
        failure = self.failure()
        if failure is not None:
            return Verdict(False, f"a worker has ended: {failure}")
        if self._beat is not None and (silent := self.clock() - self._beat) > LOOP_SECONDS:
            return Verdict(False, f"the event loop has not answered for {silent:.0f} s")
        return Verdict(True, "the event loop answers" if self._beat is not None else "starting")

    def ready(self) -> Verdict:
        """Say whether every app of the process does its work by now."""
        with self._lock:
            expected, joined = self._expected, len(self._joined)
        if expected is None:
            return Verdict(False, "loading the run and its model")
        if joined < expected:
            return Verdict(False, f"{joined} of {expected} workers have their assignment")
        live = self.live()
        return live if not live.ok else Verdict(True, "assigned")
