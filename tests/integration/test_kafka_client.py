"""What only a real Kafka can show: compaction, members of groups, a broker that goes away."""

import time
from functools import partial

import pytest
from kafka import KafkaConsumer

from millrace.local_kafka.broker import free_port
from streams.errors import BrokerError, SettingsError
from streams.transport.client import TopicSpec
from streams.transport.connect import connect
from streams.transport.kafka import log_reader
from streams.transport.kafka import sender as kafka_sender
from streams.transport.kafka.client import KafkaClient
from streams.transport.kafka.sender import KafkaSender

pytestmark = pytest.mark.kafka

COMPACTION_SECONDS = 60


def test_reading_a_compacted_topic_skips_what_is_gone(kafka, prefix):
    topic = f"{prefix}.table"
    kafka.create_topics([TopicSpec(topic, 1, compacted=True, max_record_bytes=2 * 2**20)])
    with kafka.sender() as sender:
        for number in range(40):
            sender.send(topic, 0, bytes([number]) * 2**20, key=b"same")
    deadline = time.monotonic() + COMPACTION_SECONDS
    while (offsets := offsets_of(kafka, topic))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert offsets[0] > 3, "the broker has not compacted"
    assert offsets[-1] == 39
    assert [record.offset for record in kafka.read(topic, 0, start=1, stop=3)] == []


def offsets_of(client, topic):
    return [record.offset for record in client.read(topic, 0)]


def test_a_single_send_and_a_short_read_do_not_wait(kafka, prefix):
    topic = f"{prefix}.one"
    kafka.create_topics([TopicSpec(topic, 1)])
    sends, reads = [], []
    for _ in range(10):
        began = time.monotonic()
        with kafka.sender() as sender:
            sender.send(topic, 0, b"one")
        sent = time.monotonic()
        offsets_of(kafka, topic)
        sends.append(sent - began)
        reads.append(time.monotonic() - sent)
    # Left to itself, the library waits for 0.1 s before each.
    assert min(sends) < 0.1
    assert min(reads) < 0.1


def test_connections_are_kept_for_what_comes_next(kafka, prefix, monkeypatch):
    opened = []
    for module, name in ((log_reader, "_consumer"), (kafka_sender, "_producer")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, partial(counted, opened, real))
    topic = f"{prefix}.many"
    kafka.create_topics([TopicSpec(topic, 2)])
    for number in range(5):
        for partition in range(2):
            with kafka.sender() as sender:
                sender.send(topic, partition, b"%d" % number)
            values = [record.value for record in kafka.read(topic, partition)]
            assert values == [b"%d" % n for n in range(number + 1)]
            assert next(kafka.read(topic, partition)).value == b"0"
    assert len(opened) == 2


def counted(opened, real, *arguments):
    opened.append(real)
    return real(*arguments)


def test_two_readings_of_one_client_take_turns(kafka, prefix):
    topic = f"{prefix}.turns"
    kafka.create_topics([TopicSpec(topic, 2)])
    with kafka.sender() as sender:
        for number in range(2000):
            sender.send(topic, number % 2, b"%d" % number)
    pairs = zip(kafka.read(topic, 0), kafka.read(topic, 1), strict=True)
    assert [int(r.value) for pair in pairs for r in pair] == list(range(2000))


def test_kept_connections_see_a_topic_that_somebody_else_made_anew(kafka, kafka_url, prefix):
    topic = f"{prefix}.anew"
    other = connect(kafka_url)
    for partitions, count in ((1, 30), (2, 7), (1, 40)):
        other.create_topics([TopicSpec(topic, partitions)])
        with kafka.sender() as sender:
            for number in range(count):
                sender.send(topic, partitions - 1, b"%d of %d" % (number, count))
        found = [record.value for record in kafka.read(topic, partitions - 1)]
        assert found == [b"%d of %d" % (number, count) for number in range(count)]
        assert kafka.ends(topic)[partitions - 1] == count
        other.delete_topics([topic])
    other.close()


def test_offsets_of_a_group_with_members_cannot_be_set(kafka, kafka_url, prefix):
    topic, group = f"{prefix}.records", f"{prefix}.group"
    kafka.create_topics([TopicSpec(topic, 1)])
    # A member that joins before it has seen the new topic gets nothing until it looks again.
    member = KafkaConsumer(
        topic,
        bootstrap_servers=kafka_url.removeprefix("kafka://"),
        group_id=group,
        metadata_max_age_ms=1000,
    )
    try:
        while not member.assignment():
            member.poll(timeout_ms=200)
        with pytest.raises(BrokerError, match="are its workers stopped"):
            kafka.rewind(group, {(topic, 0): 0})
        with pytest.raises(BrokerError, match="are its workers stopped"):
            kafka.delete_group(group)
    finally:
        member.close()
    kafka.rewind(group, {(topic, 0): 0})
    assert dict(kafka.committed(group, topic)) == {0: 0}


def test_nobody_at_the_address_is_said_in_one_line_and_soon(capfd):
    port = free_port()
    began = time.monotonic()
    with pytest.raises(BrokerError) as caught:
        connect(f"kafka://127.0.0.1:{port}")
    assert time.monotonic() - began < 30
    assert str(caught.value) == (
        f"no Kafka broker answers at 127.0.0.1:{port}; start one with `millrace broker` "
        "or `docker compose up`"
    )
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("address", ["", "broker", "broker:", "broker:port", ":9092", "a:1,,b:2"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(SettingsError, match="host:port"):
        KafkaClient(address)


def test_killed_broker_is_missed_and_comes_back_with_its_records(native_kafka, capfd):
    client = connect(native_kafka.url)
    client.create_topics([TopicSpec("records", 2)])
    with client.sender() as sender:
        sender.send("records", 1, b"kept")
    native_kafka.kill()
    with pytest.raises(BrokerError, match="no Kafka broker answers"):
        client.ends("records")
    url = native_kafka.url
    native_kafka.start()
    assert native_kafka.url == url
    assert dict(client.ends("records")) == {0: 0, 1: 1}
    assert [record.value for record in client.read("records", 1)] == [b"kept"]
    with client.sender() as sender:
        sender.send("records", 1, b"more")
    assert [record.value for record in client.read("records", 1)] == [b"kept", b"more"]
    client.close()
    assert capfd.readouterr().err == ""


def test_a_sender_waits_out_the_restart_of_a_broker(native_kafka):
    client = connect(native_kafka.url)
    client.create_topics([TopicSpec("records", 1)])
    with client.sender() as sender:
        sender.send("records", 0, b"0")
        sender.flush()
        native_kafka.kill()
        confirmed = [sender.send("records", 0, b"%d" % number) for number in range(1, 100)]
        native_kafka.start()
        sender.flush()
    assert [future.result() for future in confirmed] == list(range(1, 100))
    assert [record.value for record in client.read("records", 0)] == [
        b"%d" % number for number in range(100)
    ]
    client.close()


def test_a_sender_gives_up_for_good_when_the_broker_stays_away(native_kafka):
    client = connect(native_kafka.url)
    client.create_topics([TopicSpec("records", 1)])
    sender = KafkaSender(native_kafka.bootstrap, 2**20, delivery_milliseconds=4_000)
    sender.send("records", 0, b"0")
    sender.flush()
    native_kafka.kill()
    lost = [sender.send("records", 0, b"lost") for _ in range(3)]
    with pytest.raises(BrokerError, match="records/0"):
        sender.flush()
    assert all(isinstance(future.exception(60), BrokerError) for future in lost)
    native_kafka.start()
    with pytest.raises(BrokerError, match="records/0"):
        sender.send("records", 0, b"later")
    assert [record.value for record in client.read("records", 0)] == [b"0"]
    client.close()
