"""The plain client of the embedded broker, which every test of a service relies on."""

import math
from collections.abc import Iterator

import pytest

from streams.errors import BrokerError
from streams.transport.client import TopicSpec
from streams.transport.memory import client as module
from streams.transport.memory.broker import Faults, broker, forget
from streams.transport.memory.client import MemoryClient

NAME = "plain-client"


@pytest.fixture
def client() -> Iterator[MemoryClient]:
    forget(NAME)
    made = MemoryClient(NAME)
    made.create_topics([TopicSpec("t", 2)])
    yield made
    forget(NAME)


def fill(client: MemoryClient, count: int, topic: str = "t") -> None:
    with client.sender() as sender:
        for number in range(count):
            assert sender.send(topic, 0, b"%d" % number).result() == number


@pytest.mark.parametrize(
    ("start", "stop", "found"),
    [
        (0, None, range(10)),
        (4, 7, range(4, 7)),
        (0, 100, range(10)),
        (7, 7, ()),
        (10, None, ()),
        (8, 3, ()),
    ],
)
@pytest.mark.parametrize("page", [1, 3, 10, 1000])
def test_a_read_yields_each_record_between_two_offsets_once(
    client: MemoryClient,
    monkeypatch: pytest.MonkeyPatch,
    start: int,
    stop: int | None,
    found: range,
    page: int,
) -> None:
    monkeypatch.setattr(module, "_PAGE", page)
    fill(client, 10)
    assert [r.offset for r in client.read("t", 0, start, stop)] == list(found)


def test_a_read_ends_where_the_log_ended_when_it_began(client: MemoryClient) -> None:
    fill(client, 2)
    reading = client.read("t", 0)
    broker(NAME).append("t", 0, None, b"later")
    assert [record.value for record in reading] == [b"0", b"1"]


def test_holes_of_a_compacted_log_are_passed_over(client: MemoryClient) -> None:
    client.create_topics([TopicSpec("c", 1, compacted=True)])
    for key in (b"a", b"b", b"a"):
        broker(NAME).append("c", 0, key, b"x")
    broker(NAME).compact("c")
    assert [record.offset for record in client.read("c", 0)] == [1, 2]
    assert [record.offset for record in client.read("c", 0, 0, 2)] == [1]


def test_bounds_are_those_of_every_partition(client: MemoryClient) -> None:
    fill(client, 5)
    broker(NAME).delete_records("t", 0, 2)
    assert (client.starts("t"), client.ends("t")) == ({0: 2, 1: 0}, {0: 5, 1: 0})
    for ask in (client.starts, client.ends):
        with pytest.raises(BrokerError, match="no topic u"):
            ask("u")


class Refusing(Faults):
    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        if value == b"bad":
            raise BrokerError("not this one")


def test_nothing_is_stored_behind_a_failed_send(client: MemoryClient) -> None:
    broker(NAME).faults = Refusing()
    sender = client.sender()
    sent = [sender.send("t", 0, value) for value in (b"a", b"bad", b"b")]
    assert sent[0].result() == 0
    for late in sent[1:]:
        with pytest.raises(BrokerError, match="not this one"):
            late.result()
    with pytest.raises(BrokerError, match="not this one"):
        sender.flush()
    assert client.ends("t")[0] == 1
    with pytest.raises(BrokerError, match="not this one"), client.sender() as other:
        other.send("t", 0, b"bad")
    other = client.sender()
    other.send("t", 0, b"bad")
    other.__exit__(ZeroDivisionError, ZeroDivisionError(), None)  # not hidden by the send


def test_offsets_of_a_group_with_members_stay(client: MemoryClient) -> None:
    client.rewind("g", {("t", 0): 3})
    assert client.committed("g", "t") == {0: 3}
    broker(NAME).group("g").join("m", 10.0, None, lambda: None)
    with pytest.raises(BrokerError, match="still has members"):
        client.rewind("g", {("t", 0): 0})
    assert client.committed("g", "t") == {0: 3}
    with pytest.raises(BrokerError, match="still has 1 members"):
        client.delete_group("g")
    broker(NAME).group("g").leave("m")
    client.delete_group("g")
    assert client.committed("g", "t") == {}


def test_any_session_will_do(client: MemoryClient) -> None:
    assert client.session_bounds() == (0.0, math.inf)
