"""What topics are created with; no broker is needed."""

from streams.transport.client import TopicSpec
from streams.transport.kafka.client import _description


def test_a_compacted_topic_rolls_soon_so_that_it_can_be_compacted():
    found = _description(TopicSpec("runs", 1, compacted=True, max_record_bytes=2**20), 1)
    assert found == {
        "num_partitions": 1,
        "replication_factor": 1,
        "configs": {
            "max.message.bytes": "1048576",
            "min.insync.replicas": "1",
            "segment.bytes": str(16 * 2**20),
            "cleanup.policy": "compact",
            "segment.ms": "60000",
            "min.cleanable.dirty.ratio": "0.1",
        },
    }


def test_a_log_is_kept_without_limit_and_needs_all_replicas_but_one():
    found = _description(TopicSpec("tokens.a", 4, max_record_bytes=2**20), 3)
    assert found == {
        "num_partitions": 4,
        "replication_factor": 3,
        "configs": {
            "max.message.bytes": "1048576",
            "min.insync.replicas": "2",
            "segment.bytes": str(2**30),
            "retention.ms": "-1",
            "retention.bytes": "-1",
        },
    }


def test_a_segment_holds_the_largest_record():
    found = _description(TopicSpec("states", 1, compacted=True, max_record_bytes=2**26), 1)
    assert found["configs"]["segment.bytes"] == str(2**26)
    assert found["configs"]["max.message.bytes"] == str(2**26)
