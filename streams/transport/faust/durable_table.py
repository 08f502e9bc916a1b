"""Durable table: writes that can be awaited, and the recovery that fills it from the changelog."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import faust
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from streams.errors import BrokerError
from streams.transport.access import BrokerAccess
from streams.transport.connect import connect
from streams.transport.faust.ordered_sends import Confirmation
from streams.transport.faust.worker_app import WorkerApp


@dataclass(frozen=True, slots=True)
class _Portion:
    """What a stretch of a changelog partition comes to; ``next`` is the offset behind it."""

    whole: bool
    next: int
    values: Mapping[bytes, bytes | None]


class DurableTable(faust.Table[bytes, bytes]):
    """A table of bytes. Put the partition first in every key: two may not share one.

    Read it like a dictionary; write with ``put``. After each assignment it holds exactly what the
    changelogs of the assigned partitions held up to their end.
    """

    app: WorkerApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keys: dict[int, set[bytes]] = {}
        self._read_to: dict[int, int] = {}
        self._unconfirmed: dict[int, int] = {}

    def put(self, key: bytes, value: bytes, partition: int) -> Confirmation:
        """Set a value; the future is done when the changelog has it. Works outside events."""
        self._set(partition, key, value)
        sent = self.app.send_record(self._changelog, partition, value, key)
        self._unconfirmed[partition] = self._unconfirmed.get(partition, 0) + 1
        sent.add_done_callback(lambda sent: self._confirmed(partition, sent))
        return sent

    def owned(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Return the entries of one partition; the dictionary may hold those of lost ones too."""
        return iter([(key, self.data[key]) for key in self._keys.get(partition, ())])

    def on_key_set(self, key: bytes, value: bytes) -> None:
        """Refuse ``table[key] = value``: Faust only logs when such a write fails."""
        raise TypeError("write to a DurableTable with put()")

    def on_key_del(self, key: bytes) -> None:
        """Refuse ``del table[key]``, as for setting."""
        raise TypeError("a DurableTable keeps its keys")

    async def read(self, partitions: set[int]) -> None:
        """Read the changelogs of these partitions to the end they have now."""
        # A value that is not confirmed may never reach the changelog: then nothing held is good.
        starts = {p: 0 if self._unconfirmed.get(p) else self._read_to.get(p, 0) for p in partitions}
        portions = await asyncio.to_thread(_read, self.app.access, self._changelog, starts)
        for partition, portion in portions.items():
            if portion.whole:
                for key in self._keys.pop(partition, set()):
                    self.data.pop(key, None)
            for key, value in portion.values.items():
                self._set(partition, key, value)
            self._read_to[partition] = portion.next

    @property
    def _changelog(self) -> str:
        """Our own name of the changelog; Faust's begins with the app's id on the broker."""
        return self.app.access.own(self.changelog_topic_name)

    def _set(self, partition: int, key: bytes, value: bytes | None) -> None:
        keys = self._keys.setdefault(partition, set())
        if value is None:
            keys.discard(key)
            self.data.pop(key, None)
        else:
            keys.add(key)
            self.data[key] = value

    def _confirmed(self, partition: int, sent: Confirmation) -> None:
        if not sent.cancelled() and sent.exception() is None:
            self._unconfirmed[partition] -= 1


def durable_table(app: WorkerApp, name: str, partitions: int) -> DurableTable:
    """Return a new table of the app; its changelog ``<app id>-<name>-changelog`` must exist."""
    table = DurableTable(app, name=name, key_type=bytes, value_type=bytes, partitions=partitions)
    return cast(DurableTable, app.tables.add(table))


def _read(access: BrokerAccess, topic: str, starts: Mapping[int, int]) -> dict[int, _Portion]:
    client = connect(access)
    try:
        kept, ends = client.starts(topic), client.ends(topic)
        portions = {}
        for partition, start in starts.items():
            first, end = kept[partition], ends[partition]
            # A log that ends before what we read, or begins behind it, is another log.
            start = start if first <= start <= end else first
            values: dict[bytes, bytes | None] = {}
            behind = start
            for record in client.read(topic, partition, start, end):
                values[record.key or b""] = record.value
                behind = record.offset + 1
            if behind != end:
                raise BrokerError(
                    f"changelog {topic}, partition {partition}: could be read to offset {behind} "
                    f"only, its end is {end}"
                )
            portions[partition] = _Portion(start <= first, end, values)
        return portions
    finally:
        client.close()


class ChangelogRecovery(Recovery):
    """Recovers tables through a reader of its own.

    Faust hands changelog records through the path that loses records around rebalances, takes the
    last offset it saw for the position it reached (so tables came up empty), swallows every error
    on the way, and lets records through before it has sought.
    """

    app: WorkerApp

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type]
                break
            self.signal_recovery_start.clear()
            try:
                await self._recover(self._generation_id)
            except RebalanceAgain:
                continue
            except ServiceStopped:
                break

    async def _recover(self, generation: int) -> None:
        rebalance = self.app.rebalancing_count
        self._set_recovery_started()
        for table, tps in self.actives_for_table.items():
            if isinstance(table, DurableTable):
                await self._wait(table.read({tp.partition for tp in tps}))
        self._set_recovery_ended()
        await self.app.on_rebalance_complete.send()
        try:
            await self._wait(self.app.consumer.perform_seek())
        except (RebalanceAgain, ServiceStopped):
            raise
        except Exception as error:
            # Partitions that were given up meanwhile cannot be sought: the next recovery does it.
            if not self._outdated(generation, rebalance):
                raise
            self.log.info("Begun anew, for a rebalance came in between: %s", error)
        if self._outdated(generation, rebalance):
            return
        self._resume({tp for tp in self.app.consumer.assignment() if not self._is_changelog_tp(tp)})
        await self.app._fetcher.maybe_start()
        self.log.info("Worker ready")

    def _outdated(self, generation: int, rebalance: int) -> bool:
        current = self.app.consumer_generation_id, self.app.rebalancing_count
        return current != (generation, rebalance)

    def _resume(self, sources: set[TP]) -> None:
        app = self.app
        app.consumer.resume_partitions(sources)
        self.completed.set()
        app.flow_control.resume()
        app.consumer.resume_flow()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()


class DurableTables(TableManager):
    """Faust's table manager with our recovery."""

    @property
    def recovery(self) -> Recovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = ChangelogRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start at once: our tables are declared before the app starts. Faust waits a second."""
        await self._update_channels()
        await self.recovery.start()
