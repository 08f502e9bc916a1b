from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.catalog.corpora import read_compacted
from streams.catalog.followed_topic import FollowedTopic
from streams.transport.client import Client, StoredRecord, TopicSpec
from tests.producers.conftest import new_client

TOPIC = TopicSpec("table", 2, compacted=True)
PUTS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from([b"a", b"b/c"]), st.none() | st.binary(max_size=1)
    ),
    max_size=5,
)


class Counting:
    """A client that counts what is read through it."""

    def __init__(self, inner: Client) -> None:
        self.inner = inner
        self.reads: list[tuple[int, int]] = []

    def topics(self) -> Mapping[str, int]:
        return self.inner.topics()

    def ends(self, topic: str) -> Mapping[int, int]:
        return self.inner.ends(topic)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[StoredRecord]:
        self.reads.append((start, stop))
        return self.inner.read(topic, partition, start, stop)


def put(client: Client, *records: tuple[int, bytes, bytes | None]) -> None:
    with client.sender() as sender:
        for partition, key, value in records:
            sender.send(TOPIC.name, partition, value, key=key)


@given(st.lists(PUTS, max_size=4))
def test_every_look_is_what_reading_all_of_it_gives(groups: list[Any]):
    client = new_client()
    client.create_topics([TOPIC])
    followed = FollowedTopic(TOPIC.name)
    for group in groups:
        # A key lives in one partition, as everywhere.
        put(client, *((len(key) % 2, key, value) for _, key, value in group))
        assert dict(followed.look(client)) == read_compacted(client, TOPIC.name)


def test_nothing_is_read_while_nothing_is_written_and_then_only_what_is_new():
    client: Any = Counting(new_client())
    client.inner.create_topics([TOPIC])
    put(client.inner, (0, b"a", b"1"), (0, b"a", b"2"))
    followed = FollowedTopic(TOPIC.name)
    for _ in range(3):
        assert followed.look(client) == {b"a": b"2"}
    assert client.reads == [(0, 2)]
    put(client.inner, (0, b"b", b"3"))
    assert followed.look(client) == {b"a": b"2", b"b": b"3"}
    assert client.reads == [(0, 2), (2, 3)]


def test_only_wanted_keys_are_kept():
    client = new_client()
    client.create_topics([TOPIC])
    put(client, (0, b"a", b"1"), (0, b"b", b"2"))
    assert FollowedTopic(TOPIC.name, b"b".__eq__).look(client) == {b"b": b"2"}


def test_a_topic_that_does_not_exist_is_empty_until_it_does():
    client = new_client()
    followed = FollowedTopic(TOPIC.name)
    assert followed.look(client) == {}
    client.create_topics([TOPIC])
    put(client, (0, b"a", b"1"))
    assert followed.look(client) == {b"a": b"1"}


def test_a_log_made_anew_is_read_anew():
    client = new_client()
    client.create_topics([TOPIC])
    put(client, (0, b"a", b"1"), (0, b"b", b"1"))
    followed = FollowedTopic(TOPIC.name)
    followed.look(client)
    client.delete_topics([TOPIC.name])
    client.create_topics([TOPIC])
    put(client, (0, b"b", b"2"))
    assert followed.look(client) == {b"b": b"2"}
