import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import BrokerError
from streams.transport.client import StoredRecord, TopicSpec
from streams.transport.memory.broker import Faults, MemoryBroker, broker, forget


def with_topic(**changes: object) -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic(TopicSpec(**{"name": "t", "partitions": 2, **changes}))  # type: ignore[arg-type]
    return made


def values(records: list[StoredRecord]) -> list[bytes | None]:
    return [record.value for record in records]


def test_offsets_count_up_within_a_partition() -> None:
    made = with_topic()
    assert [made.append("t", 0, None, b"a"), made.append("t", 0, None, b"b")] == [0, 1]
    assert made.append("t", 1, None, b"c") == 0
    assert values(made.fetch("t", 0, 0)) == [b"a", b"b"]
    assert values(made.fetch("t", 0, 1)) == [b"b"]
    assert values(made.fetch("t", 0, 0, limit=1)) == [b"a"]
    assert (made.start_offset("t", 0), made.end_offset("t", 0)) == (0, 2)


def test_a_record_keeps_its_key_headers_and_timestamp() -> None:
    made = with_topic()
    made.append("t", 0, b"k", None, (("kind", b"x"),), timestamp=12)
    assert made.fetch("t", 0, 0) == [StoredRecord("t", 0, 0, 12, b"k", None, (("kind", b"x"),))]


def test_a_record_without_a_timestamp_has_that_of_now_in_milliseconds() -> None:
    made, before = with_topic(), time.time()
    made.append("t", 0, None, b"a")
    assert int(before * 1000) <= made.fetch("t", 0, 0)[0].timestamp <= time.time() * 1000


def test_a_topic_is_created_once_and_with_the_same_partitions() -> None:
    made = with_topic()
    made.append("t", 0, None, b"a")
    made.create_topic(TopicSpec("t", 2))
    assert made.end_offset("t", 0) == 1
    with pytest.raises(BrokerError, match="has 2 partitions, not 3"):
        made.create_topic(TopicSpec("t", 3))


@pytest.mark.parametrize(("topic", "partition"), [("none", 0), ("t", 2), ("t", -1)])
def test_unknown_places_are_refused(topic: str, partition: int) -> None:
    with pytest.raises(BrokerError, match=r"no topic|no partition"):
        with_topic().append(topic, partition, None, b"")


def test_a_record_over_the_limit_is_refused_and_named() -> None:
    made = with_topic(max_record_bytes=10)
    made.append("t", 0, b"12345", b"12345")
    with pytest.raises(BrokerError, match="11 bytes is over the limit of topic t, 10 bytes"):
        made.append("t", 0, b"12345", b"123456")
    assert made.end_offset("t", 0) == 1


def test_deleting_a_topic_forgets_records_and_commits() -> None:
    made = with_topic()
    made.append("t", 0, None, b"a")
    made.commit("g", {("t", 0): 1, ("u", 0): 4})
    made.delete_topic("t")
    made.delete_topic("t")
    made.create_topic(TopicSpec("t", 2))
    assert made.end_offset("t", 0) == 0
    assert made.committed("g", "t") == {}
    assert made.committed("g", "u") == {0: 4}


keyed = st.tuples(st.sampled_from([b"a", b"b", b"c", None]), st.one_of(st.none(), st.binary()))


@given(st.lists(keyed, max_size=30), st.integers(0, 30))
def test_compaction_keeps_the_last_value_of_each_key_where_it_was(
    records: list[tuple[bytes | None, bytes | None]], when: int
) -> None:
    made = with_topic(partitions=1, compacted=True)
    for at, (key, value) in enumerate(records):
        made.append("t", 0, key, value)
        if at == when:
            made.compact("t")
    made.compact("t")
    last = {key: (offset, value) for offset, (key, value) in enumerate(records)}
    kept = {k: (offset, value) for k, (offset, value) in last.items() if value is not None}
    found = made.fetch("t", 0, 0)
    assert {r.key: (r.offset, r.value) for r in found} == kept
    assert [r.offset for r in found] == sorted(r.offset for r in found)
    assert made.end_offset("t", 0) == len(records)


def test_a_compacted_log_does_not_grow_with_its_writes() -> None:
    made = with_topic(partitions=1, compacted=True)
    for number in range(20_000):
        made.append("t", 0, b"%d" % (number % 10), b"x")
    assert len(made.fetch("t", 0, 0)) < 2000
    assert {r.key for r in made.fetch("t", 0, 0)} == {b"%d" % n for n in range(10)}


def test_retention_moves_the_start() -> None:
    made = with_topic()
    for number in range(10):
        made.append("t", 0, None, b"%d" % number)
    made.delete_records("t", 0, before=4)
    assert made.start_offset("t", 0) == 4
    assert made.fetch("t", 0, 0)[0].offset == 4


def test_waiting_is_over_at_the_first_record() -> None:
    made, woken = with_topic(), []
    made.wait([("t", 0)], lambda: woken.append(0))
    made.append("t", 1, None, b"")
    assert woken == []
    made.append("t", 0, None, b"")
    made.append("t", 0, None, b"")
    assert woken == [0]


def test_threads_may_append_at_once() -> None:
    made = with_topic()

    def work() -> None:
        for _ in range(2000):
            made.append("t", 0, None, b"")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.offset for r in made.fetch("t", 0, 0)] == list(range(8000))


def test_faults_stand_before_the_log() -> None:
    class Refusing(Faults):
        def append(
            self, topic: str, partition: int, key: bytes | None, value: bytes | None
        ) -> None:
            raise BrokerError("not now")

    made = with_topic()
    made.faults = Refusing()
    with pytest.raises(BrokerError, match="not now"):
        made.append("t", 0, None, b"a")
    assert made.end_offset("t", 0) == 0


def test_brokers_are_known_by_name_until_forgotten() -> None:
    first = broker("test-by-name")
    assert broker("test-by-name") is first
    forget("test-by-name")
    assert broker("test-by-name") is not first
    forget("test-by-name")


def test_a_group_with_members_is_not_deleted() -> None:
    made = with_topic()
    made.commit("g", {("t", 0): 3})
    made.group("g").join("m", 10.0, None, lambda: None)
    with pytest.raises(BrokerError, match="still has 1 members"):
        made.delete_group("g")
    made.group("g").leave("m")
    made.delete_group("g")
    made.delete_group("g")
    assert made.committed("g", "t") == {}
