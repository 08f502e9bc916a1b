"""What a table holds after it was read, above an embedded broker and sends of our own."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from streams.errors import BrokerError
from streams.transport.client import Client, TopicSpec
from streams.transport.connect import connect
from streams.transport.faust import durable_table as table_module
from streams.transport.faust.app import create_app
from streams.transport.faust.durable_table import DurableTable, durable_table
from streams.transport.faust.worker_app import WorkerApp
from streams.transport.memory.broker import broker, forget

NAME = "durable-rules"
CHANGELOG = TopicSpec("rules-facts-changelog", 2, compacted=True)


class Table:
    """A table, its app, and the futures of what it has put."""

    def __init__(self) -> None:
        self.app: Any = create_app("rules", f"memory://{NAME}")
        self.app.send_record = self._send  # type: ignore[assignment,method-assign]
        self.table: DurableTable = durable_table(self.app, "facts", 2)
        self.sent: list[asyncio.Future[Any]] = []

    def _send(self, topic: str, partition: int, value: bytes, key: bytes) -> asyncio.Future[Any]:
        assert topic == CHANGELOG.name
        self.sent.append(asyncio.get_running_loop().create_future())
        return self.sent[-1]

    def owned(self, partition: int = 0) -> dict[bytes, bytes]:
        return dict(self.table.owned(partition))


@pytest.fixture
def client() -> Iterator[Client]:
    forget(NAME)
    made = connect(f"memory://{NAME}")
    made.create_topics([CHANGELOG])
    yield made
    forget(NAME)


def write(client: Client, partition: int, **values: bytes | None) -> None:
    with client.sender() as sender:
        for key, value in values.items():
            sender.send(CHANGELOG.name, partition, value, key=key.encode())


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


async def put(held: Table, key: bytes, value: bytes, how: str = "stored") -> None:
    """Put a value whose write is stored, fails, is cancelled or stays open."""
    future: asyncio.Future[Any] = held.table.put(key, value, 0)
    if how == "stored":
        future.set_result(None)
    elif how == "failed":
        future.set_exception(BrokerError("full"))
    elif how == "cancelled":
        future.cancel()
    await asyncio.sleep(0)
    if how == "failed":
        assert future.exception()


def test_entries_belong_to_one_partition(client: Client) -> None:
    async def work() -> None:
        held = Table()
        write(client, 0, a=b"1", b=b"2")
        write(client, 1, c=b"3")
        await held.table.read({0, 1})
        assert (held.owned(0), held.owned(1)) == ({b"a": b"1", b"b": b"2"}, {b"c": b"3"})
        await held.table.read(set())
        assert dict(held.table.items()) == {b"a": b"1", b"b": b"2", b"c": b"3"}

    run(work())


def test_the_last_value_counts_and_none_removes(client: Client) -> None:
    async def work() -> None:
        held = Table()
        write(client, 0, a=b"1", b=b"2")
        await held.table.read({0})
        write(client, 0, b=b"3", a=None)
        await held.table.read({0})
        assert held.owned() == {b"b": b"3"} == dict(held.table.items())

    run(work())


def test_what_was_read_before_is_not_read_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[dict[int, int]] = []
    read = table_module._read

    def note(address: Any, topic: str, given: Any) -> Any:
        starts.append(dict(given))
        return read(address, topic, given)

    monkeypatch.setattr(table_module, "_read", note)

    async def work() -> None:
        held = Table()
        write(client, 0, a=b"1", b=b"2")
        await held.table.read({0})
        await put(held, b"c", b"3")
        write(client, 0, c=b"3")
        await held.table.read({0})
        assert starts == [{0: 0}, {0: 2}]
        assert held.owned() == {b"a": b"1", b"b": b"2", b"c": b"3"}

    run(work())


@pytest.mark.parametrize("how", ["failed", "cancelled", "open"])
def test_a_value_that_the_changelog_may_not_have_is_forgotten(client: Client, how: str) -> None:
    async def work() -> None:
        held = Table()
        write(client, 0, a=b"1")
        await held.table.read({0})
        await put(held, b"a", b"2", how)
        await put(held, b"b", b"2", how)
        await put(held, b"c", b"3", "stored")
        await held.table.read({0})
        assert held.owned() == {b"a": b"1"} == dict(held.table.items())

    run(work())


def test_a_value_that_was_put_is_there_at_once(client: Client) -> None:
    async def work() -> None:
        held = Table()
        await put(held, b"a", b"1", "open")
        assert held.owned() == {b"a": b"1"}
        assert held.table[b"a"] == b"1"

    run(work())


def test_another_changelog_is_read_from_its_start(client: Client) -> None:
    async def work() -> None:
        held = Table()
        write(client, 0, a=b"1", b=b"2", c=b"3")
        await held.table.read({0})
        client.delete_topics([CHANGELOG.name])
        client.create_topics([CHANGELOG])
        write(client, 0, b=b"4")
        await held.table.read({0})
        assert held.owned() == {b"b": b"4"} == dict(held.table.items())

    run(work())


def test_a_changelog_that_begins_behind_what_was_read_is_read_whole(client: Client) -> None:
    async def work() -> None:
        held = Table()
        write(client, 0, a=b"1")
        await held.table.read({0})
        write(client, 0, b=b"2", c=b"3")
        broker(NAME).delete_records(CHANGELOG.name, 0, 2)
        await held.table.read({0})
        assert held.owned() == {b"c": b"3"}

    run(work())


def test_a_changelog_that_cannot_be_read_to_its_end_is_an_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(client, 0, a=b"1", b=b"2")
    short = connect(f"memory://{NAME}")
    monkeypatch.setattr(short, "read", lambda *_: iter(list(client.read(CHANGELOG.name, 0))[:1]))
    monkeypatch.setattr(table_module, "connect", lambda url: short)

    async def work() -> None:
        with pytest.raises(BrokerError, match="offset 1 only, its end is 2"):
            await Table().table.read({0})

    run(work())


@pytest.mark.parametrize("fails", [False, True])
def test_every_read_of_a_changelog_lets_go_of_its_broker(
    client: Client, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    write(client, 0, a=b"1")
    opened, closed = [], []

    def opening(url: str) -> Client:
        made = connect(url)
        opened.append(made)
        monkeypatch.setattr(made, "close", lambda: closed.append(made))
        if fails:
            monkeypatch.setattr(made, "read", lambda *_: iter(()))
        return made

    monkeypatch.setattr(table_module, "connect", opening)

    async def work() -> None:
        held = Table()
        for _ in range(3):
            with pytest.raises(BrokerError) if fails else contextlib.nullcontext():
                await held.table.read({0})

    run(work())
    assert len(opened) == len(closed) == 3


def test_a_table_keeps_no_value_of_another_changelog(client: Client) -> None:
    async def work() -> None:
        held = Table()
        for turn in range(5):
            write(client, 0, **{f"{turn}-{number}": b"1" for number in range(4)})
            await held.table.read({0})
            assert len(held.table.data) == len(held.owned()) == 4
            client.delete_topics([CHANGELOG.name])
            client.create_topics([CHANGELOG])

    run(work())


def test_writes_that_were_confirmed_are_not_read_again(client: Client) -> None:
    """Nor does their number grow: what is counted are those under way."""

    async def work() -> None:
        held = Table()
        for number in range(10):
            await put(held, b"%d" % number, b"1", "stored")
        assert held.table._unconfirmed == {0: 0}

    run(work())


def test_a_table_is_written_through_put_only(client: Client) -> None:
    async def work() -> None:
        held = Table()
        await put(held, b"a", b"1")
        with pytest.raises(TypeError, match="put"):
            held.table[b"b"] = b"2"
        with pytest.raises(TypeError, match="keeps its keys"):
            del held.table[b"a"]

    run(work())


def test_an_app_has_our_recovery(client: Client) -> None:
    async def work() -> None:
        app: WorkerApp = create_app("rules", f"memory://{NAME}")
        recovery = app.tables.recovery  # type: ignore[attr-defined]
        assert isinstance(recovery, table_module.ChangelogRecovery)

    run(work())


class Seeking:
    """A consumer whose partitions cannot be sought. moved: another rebalance took them away."""

    def __init__(self, app: Any, moved: bool) -> None:
        self.app, self.moved = app, moved

    async def perform_seek(self) -> None:
        # A consumer that takes a recovery to go on lets its buffers grow.
        assert not self.app.in_recovery
        self.app.rebalancing_count += self.moved
        raise LookupError("no current assignment")


@pytest.mark.parametrize("moved", [True, False])
def test_partitions_given_up_in_a_recovery_are_sought_by_the_next(
    client: Client, moved: bool
) -> None:
    async def work() -> None:
        app: Any = create_app("rules", f"memory://{NAME}")
        app.consumer = Seeking(app, moved)
        recovery = app.tables.recovery
        if moved:
            await recovery._recover(app.consumer_generation_id)
            assert not recovery.completed.is_set()
        else:
            with pytest.raises(LookupError):
                await recovery._recover(app.consumer_generation_id)

    run(work())
