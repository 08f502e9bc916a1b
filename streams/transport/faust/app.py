"""Making and serving the Faust apps of a worker."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from faust import Stream, StreamT
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.transport.drivers import TRANSPORTS
from faust.types import EventT, TopicT
from mode.supervisors import CrashingSupervisor

from streams.transport.access import BrokerAccess, access_to
from streams.transport.faust.contiguous_consumer import StartPositions
from streams.transport.faust.durable_table import DurableTable, DurableTables
from streams.transport.faust.worker_app import WorkerApp, leave
from streams.transport.security import Security

_TRANSPORTS = {
    "memory": "streams.transport.memory.faust_transport:MemoryTransport",
    "contiguous": "streams.transport.kafka.faust_transport:KafkaTransport",
}


_FETCH_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class AppOptions:
    """What differs between workers; times are in seconds.

    session, heartbeat, rebalance, request, max_poll: those of ``Timeouts``. commit_interval:
    between commits of acknowledged offsets. max_record_bytes: largest record sent or fetched.
    instance: id of a static member of the group, one for each worker process; a restart under the
    same id within ``session`` moves no partition. buffer: records held per agent. web_port: of
    Faust's own web server, bound to this host only; None for none. leave: ends the process after
    a failed send.
    """

    session: float = 60.0
    heartbeat: float = 3.0
    rebalance: float = 120.0
    request: float = 90.0
    max_poll: float = 1000.0
    commit_interval: float = 1.0
    max_record_bytes: int = 32 * 2**20
    instance: str = ""
    buffer: int = 32
    web_port: int | None = None
    leave: Callable[[int], None] = leave


def create_app(
    app_id: str,
    broker: BrokerAccess | str,
    *,
    positions: StartPositions | None = None,
    options: AppOptions = AppOptions(),
) -> WorkerApp:
    """Return an app, which is also its consumer group, on a broker.

    Its topics, changelogs included, must exist when it starts. It starts nothing yet.
    """
    TRANSPORTS.get_alias("kafka")  # Faust's first look-up reads entry points, which may be stale
    TRANSPORTS.aliases.update(_TRANSPORTS)
    access = access_to(broker)
    return WorkerApp(
        app_id,
        access=access,
        positions=positions,
        leave=options.leave,
        broker=_internal_url(access),
        broker_credentials=_credentials(access.security),
        autodiscover=False,
        store="memory://",
        Table=DurableTable,
        TableManager=DurableTables,
        agent_supervisor=CrashingSupervisor,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        stream_buffer_maxsize=options.buffer,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=access.full(options.instance) if options.instance else None,
        # Per partition. A larger record still comes, alone; what is fetched ahead fills memory.
        consumer_max_fetch_size=_FETCH_BYTES,
        producer_acks=-1,
        producer_request_timeout=60.0,
        producer_max_request_size=options.max_record_bytes + 2**20,
        producer_max_batch_size=256 * 1024,
        broker_commit_interval=options.commit_interval,
        broker_session_timeout=options.session,
        broker_heartbeat_interval=options.heartbeat,
        broker_rebalance_timeout=options.rebalance,
        # Faust starts with no session that is longer than a request may take.
        broker_request_timeout=max(options.request, options.session),
        broker_max_poll_interval=options.max_poll,
        broker_max_poll_records=50,
        web_enabled=options.web_port is not None,
        web_bind="127.0.0.1",
        web_port=options.web_port or 6066,
        web_tables_enabled=False,
    )


async def serve(
    apps: Sequence[WorkerApp],
    until: Callable[[], bool] | None = None,
    poll: float = 0.2,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Run apps until ``until()`` is true (asked every ``poll`` seconds), SIGTERM or cancellation.

    They are stopped cleanly, the last one first; ``stopping`` is called before that. One that
    crashes or ends by itself stops all, and why it did is raised.
    """
    ended = asyncio.Event()
    with _terminated(ended):
        starts = [asyncio.ensure_future(app.start()) for app in apps]
        try:
            while not ended.is_set() and not _ended(apps) and not (until and until()):
                # Not wait_for, which in Python 3.11 loses a cancellation that meets its timeout.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(poll):
                        await ended.wait()
        finally:
            stopping()
            for app in reversed(apps):
                await app.stop()
            # A start that was stopped half-way may wait for ever for what will not come any more.
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
    for app in apps:
        if app.crashed or app.reason is not None:
            raise _explained(app)


def _explained(app: WorkerApp) -> BaseException:
    """Return why an app crashed or ended; a right that its consumer lacks as one line."""
    why = app.failure or app.crash_reason or app.ending or RuntimeError("it crashed")
    return app.missing_right(why) or why


def _ended(apps: Sequence[WorkerApp]) -> bool:
    return any(app.crashed or app.reason is not None for app in apps)


@contextlib.contextmanager
def _terminated(ended: asyncio.Event) -> Iterator[None]:
    """Set ``ended`` at SIGTERM while the block runs; only the main thread may ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _internal_url(access: BrokerAccess) -> str:
    if access.is_embedded:
        return access.address
    # A scheme of our own, else Faust takes its own driver.
    return ";".join(f"contiguous://{server}" for server in access.place.split(","))


def _credentials(security: Security) -> Credentials | None:
    """Return what Faust hands to aiokafka's clients."""
    context = security.context()
    if security.sasl is not None:
        return SASLCredentials(
            username=security.sasl.user,
            password=security.sasl.password,
            mechanism=security.sasl.mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None


def raw_topic(app: WorkerApp, name: str) -> TopicT:
    """Return a topic whose records reach the agent as the bytes they are."""
    return app.topic(
        app.access.full(name),
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        allow_empty=True,
    )


def events(stream: StreamT[bytes]) -> AsyncIterator[EventT[Any]]:
    """Return the records that reach an agent, which hands them to ``GroupCommit`` afterwards."""
    return cast(AsyncIterator[EventT[Any]], cast(Stream[bytes], stream).noack().events())
