"""Two prefixes on one broker are two worlds."""

from collections.abc import Iterator
from typing import Any

import pytest

from streams.transport.access import BrokerAccess
from streams.transport.client import Client, TopicSpec
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from streams.transport.prefixed import PrefixedClient

ADDRESS = "memory://prefixed"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    forget("prefixed")


def at(prefix: str) -> Client:
    return connect(BrokerAccess(ADDRESS, prefix))


def test_each_has_its_own_topics_under_the_same_names() -> None:
    ours, theirs, everything = at("a."), at("b."), connect(ADDRESS)
    for client, value in ((ours, b"ours"), (theirs, b"theirs")):
        client.create_topics([TopicSpec("runs", 1)])
        with client.sender() as sender:
            sender.send("runs", 0, value)
    assert [(r.topic, r.value) for r in ours.read("runs", 0)] == [("runs", b"ours")]
    assert (dict(ours.starts("runs")), dict(theirs.ends("runs"))) == ({0: 0}, {0: 1})
    assert dict(everything.topics()) == {"a.runs": 1, "b.runs": 1}
    ours.delete_topics(["runs", "unknown"])
    assert (dict(ours.topics()), dict(theirs.topics())) == ({}, {"runs": 1})


def test_each_has_its_own_groups_under_the_same_names() -> None:
    ours, theirs = at("a."), at("b.")
    for client in (ours, theirs):
        client.create_topics([TopicSpec("t", 2)])
    ours.rewind("g", {("t", 1): 5})
    theirs.rewind("g", {("t", 1): 7})
    assert (dict(ours.committed("g", "t")), dict(theirs.committed("g", "t"))) == ({1: 5}, {1: 7})
    assert dict(connect(ADDRESS).committed("a.g", "a.t")) == {1: 5}
    ours.delete_group("g")
    assert (dict(ours.committed("g", "t")), dict(theirs.committed("g", "t"))) == ({}, {1: 7})


class Spy:
    """Notes every call and its arguments, and answers with itself or what it was given."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answers = answers or {}

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, *arguments, *named.values()))
            return self._answers.get(name, self)

        return call


def test_every_call_reaches_the_broker_under_the_prefix() -> None:
    inner = Spy({"read": iter(())})
    client = PrefixedClient(inner, "a.")
    client.starts("t")
    client.ends("t")
    list(client.read("t", 1, 2, 3))
    client.committed("g", "t")
    client.members("g")
    client.rewind("g", {("t", 1): 4})
    client.delete_group("g")
    client.session_bounds()
    client.close()
    assert inner.calls == [
        ("starts", "a.t"),
        ("ends", "a.t"),
        ("read", "a.t", 1, 2, 3),
        ("committed", "a.g", "a.t"),
        ("members", "a.g"),
        ("rewind", "a.g", {("a.t", 1): 4}),
        ("delete_group", "a.g"),
        ("session_bounds",),
        ("close",),
    ]


class SpySender(Spy):
    def __enter__(self) -> None:
        self.calls.append(("enter",))

    def __exit__(self, *error: object) -> None:
        self.calls.append(("exit", error[0]))


def test_a_sender_does_what_its_inner_one_does() -> None:
    made = SpySender()
    inner = Spy({"sender": made})
    sender = PrefixedClient(inner, "a.").sender(77)
    with sender as entered:
        assert entered is sender
        sender.send("t", 3, b"v", key=b"k", headers=(("h", b"x"),))
        sender.flush()
    sender.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert inner.calls == [("sender", 77)]
    assert made.calls == [
        ("enter",),
        ("send", "a.t", 3, b"v", b"k", (("h", b"x"),)),
        ("flush",),
        ("exit", None),
        ("exit", ZeroDivisionError),
    ]
