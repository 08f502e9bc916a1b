"""What every broker client does: the embedded one and Kafka's pass the same tests."""

from collections.abc import Iterator

import pytest

from streams.errors import BrokerError
from streams.transport.client import Client, TopicSpec
from streams.transport.connect import connect


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def client(request: pytest.FixtureRequest, prefix: str) -> Iterator[Client]:
    if request.param == "kafka":
        yield request.getfixturevalue("kafka")
        return
    embedded = connect(f"memory://{prefix}")
    yield embedded
    embedded.close()


@pytest.fixture
def topic(client: Client, prefix: str) -> str:
    """A topic of three partitions."""
    client.create_topics([TopicSpec(f"{prefix}.records", 3)])
    return f"{prefix}.records"


def send(client: Client, topic: str, *values: bytes, partition: int = 0) -> list[int]:
    with client.sender() as sender:
        confirmed = [sender.send(topic, partition, value) for value in values]
        sender.flush()
        return [future.result() for future in confirmed]


def read(client: Client, topic: str, **bounds: int) -> list[bytes | None]:
    return [record.value for record in client.read(topic, 0, **bounds)]


def test_created_topics_are_listed_with_their_partitions(client, prefix):
    client.create_topics([TopicSpec(f"{prefix}.a", 1), TopicSpec(f"{prefix}.b", 4)])
    ours = {name: count for name, count in client.topics().items() if name.startswith(prefix)}
    assert ours == {f"{prefix}.a": 1, f"{prefix}.b": 4}


def test_a_broker_says_how_long_sessions_may_be(client):
    least, most = client.session_bounds()
    assert 0 <= least <= 6 < 120 <= most


def test_creating_a_topic_again_changes_nothing(client, topic):
    send(client, topic, b"kept")
    client.create_topics([TopicSpec(topic, 3)])
    assert read(client, topic) == [b"kept"]


def test_existing_topic_with_other_partitions_is_refused_with_both_numbers(client, topic):
    with pytest.raises(BrokerError, match=r"3 partitions.*5|5 partitions.*3"):
        client.create_topics([TopicSpec(topic, 5)])


def test_deleted_topic_is_gone_and_deleting_it_again_is_fine(client, topic):
    client.delete_topics([topic])
    client.delete_topics([topic])
    assert topic not in client.topics()


def test_topic_created_again_is_empty(client, topic):
    send(client, topic, b"old")
    client.delete_topics([topic])
    client.create_topics([TopicSpec(topic, 3)])
    assert dict(client.ends(topic)) == {0: 0, 1: 0, 2: 0}
    assert read(client, topic) == []


def test_records_come_back_whole(client, topic):
    with client.sender() as sender:
        offset = sender.send(
            topic, 1, b"value", key=b"key", headers=(("kind", b"x"), ("sequence", b"0"))
        )
        sender.flush()
    (record,) = client.read(topic, 1)
    assert (record.topic, record.partition, record.offset) == (topic, 1, offset.result())
    assert (record.key, record.value) == (b"key", b"value")
    assert record.headers == (("kind", b"x"), ("sequence", b"0"))
    assert record.timestamp > 1_600_000_000_000


def test_record_without_value_marks_a_key_as_deleted(client, topic):
    with client.sender() as sender:
        sender.send(topic, 0, None, key=b"key")
    (record,) = client.read(topic, 0)
    assert (record.key, record.value) == (b"key", None)


def test_order_is_kept_within_a_partition(client, topic):
    values = [b"%d" % number for number in range(2000)]
    assert send(client, topic, *values) == list(range(2000))
    assert read(client, topic) == values


def test_starts_and_ends_count_each_partition(client, topic):
    send(client, topic, b"a", b"b", partition=2)
    assert dict(client.starts(topic)) == {0: 0, 1: 0, 2: 0}
    assert dict(client.ends(topic)) == {0: 0, 1: 0, 2: 2}


def test_read_keeps_to_its_bounds(client, topic):
    send(client, topic, b"0", b"1", b"2", b"3")
    assert read(client, topic, start=1, stop=3) == [b"1", b"2"]
    assert read(client, topic, start=3) == [b"3"]
    assert read(client, topic, start=2, stop=99) == [b"2", b"3"]
    assert read(client, topic, start=4) == []
    assert read(client, topic, start=3, stop=1) == []


def test_read_ends_where_the_log_ended_when_it_was_called(client, topic):
    send(client, topic, b"before")
    records = client.read(topic, 0)
    send(client, topic, b"after")
    assert [record.value for record in records] == [b"before"]


def test_two_reads_do_not_disturb_each_other(client, topic):
    send(client, topic, b"0", b"1")
    first, second = client.read(topic, 0), client.read(topic, 0)
    assert [next(first).value, next(second).value, next(first).value] == [b"0", b"0", b"1"]


@pytest.mark.parametrize("ask", ["starts", "ends"])
def test_unknown_topic_is_named(client, prefix, ask):
    with pytest.raises(BrokerError, match=f"{prefix}.nowhere"):
        getattr(client, ask)(f"{prefix}.nowhere")


def test_unknown_partition_cannot_be_read(client, topic):
    with pytest.raises(BrokerError, match=topic):
        list(client.read(topic, 7))


def test_unknown_partition_cannot_be_sent_to(client, topic):
    with pytest.raises(BrokerError, match=f"{topic}.*7"), client.sender() as sender:
        sender.send(topic, 7, b"value")


def test_a_group_has_the_offsets_that_were_set(client, topic, prefix):
    group = f"{prefix}.group"
    assert dict(client.committed(group, topic)) == {}
    client.rewind(group, {(topic, 0): 5, (topic, 2): 7})
    assert dict(client.committed(group, topic)) == {0: 5, 2: 7}
    client.rewind(group, {(topic, 0): 1})
    assert dict(client.committed(group, topic)) == {0: 1, 2: 7}


def test_a_deleted_group_has_no_offsets_and_unknown_ones_are_ignored(client, topic, prefix):
    group = f"{prefix}.group"
    client.rewind(group, {(topic, 0): 5})
    client.delete_group(group)
    client.delete_group(group)
    assert dict(client.committed(group, topic)) == {}


def test_few_bytes_in_flight_slow_a_sender_down_and_lose_nothing(client, topic):
    values = [bytes([number]) * 5_000 for number in range(50)]
    with client.sender(max_in_flight_bytes=8_000) as sender:
        for value in values:
            sender.send(topic, 0, value)
    assert read(client, topic) == values


def test_record_larger_than_the_bound_in_flight_goes_alone(client, topic):
    with client.sender(max_in_flight_bytes=1_000) as sender:
        sender.send(topic, 0, b"x" * 100_000)
        sender.send(topic, 0, b"y")
    assert [len(value or b"") for value in read(client, topic)] == [100_000, 1]


def test_large_records_pass_up_to_the_limit(client, prefix):
    client.create_topics([TopicSpec(f"{prefix}.large", 1, max_record_bytes=40 * 2**20)])
    values = [bytes([number]) * (30 * 2**20) for number in range(2)]
    send(client, f"{prefix}.large", *values)
    assert read(client, f"{prefix}.large") == values


def test_record_over_the_limit_fails_and_names_the_topic(client, prefix):
    client.create_topics([TopicSpec(f"{prefix}.small", 1, max_record_bytes=100_000)])
    sender = client.sender()
    with pytest.raises(BrokerError, match=f"{prefix}.small"):
        sender.send(f"{prefix}.small", 0, b"x" * 200_000).result(60)
    with pytest.raises(BrokerError, match=f"{prefix}.small"):
        sender.flush()
    assert read(client, f"{prefix}.small") == []


def test_nothing_is_sent_after_a_failure(client, prefix, topic):
    client.create_topics([TopicSpec(f"{prefix}.small", 1, max_record_bytes=100_000)])
    sender = client.sender()
    with pytest.raises(BrokerError):
        sender.send(f"{prefix}.small", 0, b"x" * 200_000).result(60)
    with pytest.raises(BrokerError, match=f"{prefix}.small"):
        sender.send(topic, 0, b"later").result(60)
    assert read(client, topic) == []


def test_leaving_a_sender_raises_what_failed(client, prefix):
    client.create_topics([TopicSpec(f"{prefix}.small", 1, max_record_bytes=100_000)])
    with pytest.raises(BrokerError, match=f"{prefix}.small"), client.sender() as sender:
        sender.send(f"{prefix}.small", 0, b"x" * 200_000)


def test_the_error_of_the_block_is_the_one_that_leaves_it(client, topic):
    with pytest.raises(ZeroDivisionError), client.sender() as sender:
        sender.send(topic, 0, b"value" * (1 // 0))
