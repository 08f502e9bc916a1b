"""Workers of a run in this process: apps served until they are told to stop or the run is done."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass

from consumers.activations.engine import Engine
from consumers.health.limits import Limits
from consumers.health.progress import Progress
from consumers.health.reporting import Reporter
from consumers.plan import Plan
from consumers.selection.worker import ActivationWorker
from consumers.service.activation_agent import activations_app
from consumers.service.aggregate_agent import aggregates_app
from consumers.service.kernel_warmup import warm_up
from consumers.service.worker_announcements import announced
from consumers.snapshots.failed_snapshots import give_up
from consumers.snapshots.snapshots import final_manifest, manifests_of
from streams.errors import AccessError, BrokerError, LostInputError, SnapshotFailedError
from streams.snapshots.manifests import FINAL, RunManifest
from streams.timeouts import timeouts
from streams.transport.access import BrokerAccess
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.faust.app import AppOptions, serve
from streams.transport.faust.worker_app import WorkerApp, leave

log = logging.getLogger(__name__)

_SECONDS_TO_STOP = 30.0
_TICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Crew:
    """How many workers of each kind to run in this process."""

    activations: int = 0
    aggregates: int = 0


def serve_run(
    plan: Plan,
    broker: BrokerAccess | str,
    crew: Crew,
    make_engine: Callable[[], Engine],
    progress: Progress,
    *,
    until_final: bool,
    session: float = 60.0,
    limits: Limits = Limits(),
) -> RunManifest | None:
    """Serve workers of a run; return its final snapshot once that is there, if ``until_final``.

    Raises what ended a worker; SnapshotError, for one, when a part cannot be written. Raises
    SnapshotFailedError once the run has failed, if ``until_final``.
    """
    # Before anything joins a group: what was assigned to somebody who compiles would wait.
    warm_up(plan, aggregates=crew.aggregates > 0)
    apps: list[WorkerApp] = []
    last_resort = LastResort(lambda: next((app.reason for app in apps if app.reason), None))
    for _ in range(crew.activations):
        apps.append(
            activations_app(
                plan,
                lambda: ActivationWorker(plan, make_engine()),
                broker,
                options(plan, session, last_resort, limits),
                progress,
                limits,
            )
        )
    for _ in range(crew.aggregates):
        made = options(plan, session, last_resort, limits)
        # Beside activation workers nobody could repair a gap, who have to be stopped for that.
        ends_at_gap = until_final and crew.activations > 0
        apps.append(aggregates_app(plan, broker, made, progress, limits, ends_at_gap=ends_at_gap))
    with (
        announced(plan, crew.activations, crew.aggregates, progress, last_resort.failure) as end,
        Reporter(plan, progress),
        last_resort,
        RunWatch(plan, broker, progress, active=until_final) as watch,
    ):

        def until() -> bool:
            progress.health.beats()
            return watch.done

        try:
            asyncio.run(serve(apps, until, _TICK_SECONDS, stopping=lambda: last_resort.leave(1)))
        except LostInputError as error:
            if error.for_good:
                _declare_failed(plan, broker, error)
            raise
        if watch.done:
            end.reason = str(watch.failed or "the final snapshot is there")
    if watch.failed is not None:
        raise watch.failed
    return watch.final


def _declare_failed(plan: Plan, broker: BrokerAccess | str, error: LostInputError) -> None:
    """Let everybody know who waits for the run; one that cannot be told will see it by itself."""
    try:
        with closing(connect(broker)) as client:
            give_up(plan, client, FINAL, str(error))
    except BrokerError as unheard:
        log.warning("Nobody was told that run %s has failed: %s", plan.run.name, unheard)


def options(
    plan: Plan, session: float, last_resort: "LastResort", limits: Limits = Limits()
) -> AppOptions:
    """Return the options of a worker.

    It is no static member of its group: one that stops cleanly leaves at once, so that others take
    over and the run can be deleted.
    """
    return AppOptions(
        **asdict(timeouts(session, limits.stall)),
        max_record_bytes=plan.run.record_bytes * 2,
        leave=last_resort.leave,
    )


class LastResort:
    """Ends the process for certain, should it not end by itself once it has failed or stops.

    failure: what ended a worker, so that it is said all the same; None while all is well.
    """

    def __init__(
        self,
        failure: Callable[[], BaseException | None] = lambda: None,
        seconds: float = _SECONDS_TO_STOP,
    ) -> None:
        self.failure = failure
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def leave(self, status: int) -> None:
        """Give the block its last seconds."""
        if self._timer is None:
            self._timer = threading.Timer(self._seconds, self._end, (status or 1,))
            self._timer.daemon = True
            self._timer.start()

    def _end(self, status: int) -> None:
        log.critical(
            "Not stopped within %g s; nothing is lost, what is not acknowledged comes again. %s",
            self._seconds,
            self.failure() or "A batch or a snapshot was still being worked on.",
        )
        leave(status)

    def __enter__(self) -> "LastResort":
        """Begin the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the process live: whoever called says what went wrong, and with which status."""
        if self._timer is not None:
            self._timer.cancel()


class RunWatch:
    """Looks in a thread whether a run's final snapshot is there, or will never be.

    final: its manifest, once it is there. failed: why it will never be, or never be
    seen because the broker does not let us in, once that is known.

    At once after something was written in this process, else every so many seconds, when it asks
    for the end of the snapshots topic and reads what is new there. A broker that is away for a
    while is asked again.
    """

    def __init__(
        self,
        plan: Plan,
        broker: BrokerAccess | str,
        progress: Progress,
        *,
        active: bool,
        seconds: float = 0.5,
    ) -> None:
        self.final: RunManifest | None = None
        self.failed: SnapshotFailedError | AccessError | None = None
        self._plan = plan
        self._broker = broker
        self._progress = progress
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True) if active else None

    def __enter__(self) -> "RunWatch":
        """Begin to look."""
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def done(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.final is not None or self.failed is not None

    def _watch(self) -> None:
        client: Client | None = None
        manifests = manifests_of(self._plan.run.name)
        try:
            parts, looked = -1, 0.0
            while not self._ended.wait(_TICK_SECONDS):
                written, now = self._progress.done.parts, time.monotonic()
                if written == parts and now - looked < self._seconds:
                    continue
                parts, looked = written, now
                try:
                    client = client or connect(self._broker)
                    self.final = final_manifest(client, self._plan, manifests)
                except (SnapshotFailedError, AccessError) as error:
                    self.failed = error
                except BrokerError as error:
                    log.warning("Whether the final snapshot is there cannot be seen: %s", error)
                if self.done:
                    return
        finally:
            if client is not None:
                client.close()
