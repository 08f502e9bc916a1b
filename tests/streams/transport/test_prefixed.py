"""Two prefixes on one broker are two worlds."""

from collections.abc import Iterator

import pytest

from streams.transport.access import BrokerAccess
from streams.transport.client import Client, TopicSpec
from streams.transport.connect import connect
from streams.transport.memory.broker import forget

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
