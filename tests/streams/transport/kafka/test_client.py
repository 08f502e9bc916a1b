"""What the client asks of Kafka and makes of the answers, over an admin that obeys the test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from kafka import TopicPartition, errors
from kafka.structs import OffsetAndMetadata

from streams.errors import AccessError, BrokerError
from streams.transport.client import TopicSpec
from streams.transport.kafka import client as module
from streams.transport.kafka.client import KafkaClient

AUTHORIZATION_FAILED, INVALID_TOPIC = 29, 17


@dataclass
class Admin:
    """Answers as kafka-python's does. shown: how often a deleted topic is still listed."""

    topics: dict[str, int] = field(default_factory=dict)
    brokers: int = 1
    refuses: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    created: dict[str, Any] = field(default_factory=dict)
    offsets: dict[TopicPartition, OffsetAndMetadata] = field(default_factory=dict)
    altered: list[Any] = field(default_factory=list)
    alter_error: Any = errors.NoError
    delete_outcome: str | None = "OK"
    described: dict[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = field(default_factory=dict)
    shown: int = 0
    waited: list[str] = field(default_factory=list)
    passing: int = 0
    closed: bool = False

    def describe_topics(self) -> list[dict[str, Any]]:
        if self.passing:
            self.passing -= 1
            raise errors.NotCoordinatorError
        found = [
            {"name": name, "partitions": list(range(n)), "error_code": 0, "is_internal": False}
            for name, n in self.topics.items()
        ]
        if self.shown < 0:
            self.shown += 1
            found.append({"name": "late", "partitions": [0], "error_code": 0, "is_internal": False})
        return [
            *found,
            {"name": "__consumer_offsets", "partitions": [0], "error_code": 0, "is_internal": True},
            {"name": "broken", "partitions": [0], "error_code": 3, "is_internal": False},
        ]

    def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [{"broker_id": 7 + n} for n in range(self.brokers)]}

    def create_topics(self, wanted: Mapping[str, Any], raise_errors: bool) -> dict[str, Any]:
        assert raise_errors is False
        self.created.update(wanted)
        self.topics |= {
            name: how["num_partitions"]
            for name, how in wanted.items()
            if name not in self.topics and name not in self.refuses
        }
        return self._answers(wanted)

    def delete_topics(self, names: Sequence[str], raise_errors: bool) -> dict[str, Any]:
        assert raise_errors is False
        for name in names:
            self.topics.pop(name, None)
        return self._answers(names)

    def _answers(self, names: Any) -> dict[str, Any]:
        refused = {name: self.refuses.get(name, (0, None)) for name in names}
        return {
            "topics": [
                {"name": name, "error_code": code, "error_message": why}
                for name, (code, why) in refused.items()
            ]
        }

    def wait_for_topics(self, names: list[str]) -> None:
        self.waited += names

    def list_group_offsets(self, asked: Mapping[str, None]) -> dict[str, Any]:
        return dict.fromkeys(asked, self.offsets)

    def describe_groups(self, groups: list[str]) -> dict[str, Any]:
        return dict.fromkeys(groups, self.described)

    def alter_group_offsets(self, group: str, wanted: Any) -> dict[Any, Any]:
        self.altered.append((group, wanted))
        return dict.fromkeys(wanted, self.alter_error)

    def delete_groups(self, groups: list[str]) -> dict[str, str]:
        return {} if self.delete_outcome is None else {groups[0]: self.delete_outcome}

    def describe_configs(self, wanted: list[Any], config_filter: str) -> dict[str, Any]:
        assert (wanted[0].name, config_filter) == ("7", "all")
        if self.settings is None:
            raise errors.ClusterAuthorizationFailedError
        return {"broker": {"7": {k: {"value": v} for k, v in self.settings.items()}}}

    def close(self) -> None:
        self.closed = True


@dataclass
class Reader:
    """A log of numbers from ``kept`` to ``end``."""

    kept: int = 3
    end: int = 10
    forgotten: int = 0
    closed: bool = False

    def bounds(self, place: TopicPartition) -> tuple[int, int]:
        return self.kept, self.end

    def starts(self, topic: str, partitions: int) -> Mapping[int, int]:
        return dict.fromkeys(range(partitions), self.kept)

    def ends(self, topic: str, partitions: int) -> Mapping[int, int]:
        return dict.fromkeys(range(partitions), self.end)

    def records(self, place: TopicPartition, first: int, end: int) -> Any:
        assert first < end
        yield from ((place.topic, place.partition, at) for at in range(first, end))

    def forget(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        self.closed = True


class Pool:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def clear(self) -> None:
        self.calls.append("clear")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    made = Admin({"t": 2})
    monkeypatch.setattr(module, "expect_broker", lambda *_: None)
    monkeypatch.setattr(module, "KafkaAdminClient", lambda **_: made)
    monkeypatch.setattr(module, "KafkaReader", lambda *_: Reader())
    monkeypatch.setattr(module, "producer_pool", lambda *_: Pool())
    monkeypatch.setattr("streams.transport.kafka.connection._any_answers", lambda _: True)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return made


@pytest.fixture
def client(admin: Admin) -> KafkaClient:
    return KafkaClient("host:9092")


def test_topics_are_those_that_are_ours_and_well(client: KafkaClient) -> None:
    assert client.topics() == {"t": 2}


def test_a_passing_failure_is_tried_again(client: KafkaClient, admin: Admin) -> None:
    admin.passing = 3
    assert client.topics() == {"t": 2}


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_missing_topics_are_created_on_up_to_three_brokers(
    client: KafkaClient, admin: Admin, brokers: int, replicas: int
) -> None:
    admin.brokers = brokers
    client.create_topics([TopicSpec("t", 2), TopicSpec("u", 4)])
    assert list(admin.created) == admin.waited == ["u"]
    assert admin.created["u"]["replication_factor"] == replicas
    assert client.topics() == {"t": 2, "u": 4}
    client.create_topics([TopicSpec("u", 4)])
    assert admin.waited == ["u"]


@pytest.mark.parametrize("found", [1, 3])
def test_a_topic_with_other_partitions_is_refused(client: KafkaClient, found: int) -> None:
    with pytest.raises(BrokerError, match=f"'t' exists with 2 partitions, {found} are wanted"):
        client.create_topics([TopicSpec("t", found)])


def test_a_topic_that_somebody_else_created_meanwhile_is_looked_at_again(
    client: KafkaClient, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.refuses = {"u": (36, "exists")}  # no failure by itself

    def meanwhile(names: list[str]) -> None:
        admin.topics["u"] = 5

    monkeypatch.setattr(admin, "wait_for_topics", meanwhile)
    with pytest.raises(BrokerError, match="'u' exists with 5 partitions, 4 are wanted"):
        client.create_topics([TopicSpec("u", 4)])
    admin.topics["u"] = 4
    client.create_topics([TopicSpec("u", 4)])


@pytest.mark.parametrize(
    ("code", "message", "kind", "said"),
    [
        (AUTHORIZATION_FAILED, None, AccessError, "does not let us create topic 'u': a right to"),
        (INVALID_TOPIC, "no such name", BrokerError, "cannot create topic 'u': no such name$"),
        (INVALID_TOPIC, None, BrokerError, "cannot create topic 'u': InvalidTopicError$"),
    ],
)
def test_why_a_topic_is_not_created_is_said(
    client: KafkaClient, admin: Admin, code: int, message: str, kind: type, said: str
) -> None:
    admin.refuses = {"u": (code, message)}
    with pytest.raises(kind, match=said):
        client.create_topics([TopicSpec("u", 4)])


def test_topics_that_exist_are_deleted_and_forgotten(client: KafkaClient, admin: Admin) -> None:
    client.delete_topics(["unknown"])
    assert client._reader.forgotten == 0  # type: ignore[attr-defined]
    admin.refuses = {"t": (3, None)}  # deleted by somebody else meanwhile
    client.delete_topics(["t", "unknown"])
    assert client.topics() == {}
    assert client._reader.forgotten == 1  # type: ignore[attr-defined]
    assert client._producers.calls == ["clear"]  # type: ignore[attr-defined]


def test_a_topic_that_may_not_be_deleted_is_named(client: KafkaClient, admin: Admin) -> None:
    admin.refuses = {"t": (AUTHORIZATION_FAILED, None)}
    with pytest.raises(AccessError, match="does not let us delete topic 't'"):
        client.delete_topics(["t"])


def test_deleted_topics_are_waited_for_and_not_for_ever(
    client: KafkaClient, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.shown = -4
    client.delete_topics(["late"])
    assert admin.shown == 0
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    monkeypatch.setattr(module.time, "sleep", lambda _: now.append(now.pop() + 4))  # type: ignore[attr-defined]
    admin.shown = -1000
    with pytest.raises(BrokerError, match=r"still shows deleted topics \['late'\]"):
        client.delete_topics(["late"])
    assert -1000 + 3 <= admin.shown <= -1000 + 5  # about ten seconds of four each


@pytest.mark.parametrize(
    ("start", "stop", "found"),
    [
        (0, None, range(3, 10)),
        (5, None, range(5, 10)),
        (0, 6, range(3, 6)),
        (4, 100, range(4, 10)),
        (6, 6, ()),
        (10, None, ()),
        (0, 3, ()),
    ],
)
def test_a_read_keeps_to_what_is_there(
    client: KafkaClient, start: int, stop: int | None, found: Sequence[int]
) -> None:
    assert list(client.read("t", 1, start, stop)) == [("t", 1, at) for at in found]  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("partition", [-1, 2])
def test_unknown_places_are_named(client: KafkaClient, partition: int) -> None:
    with pytest.raises(BrokerError, match=f"'t' has 2 partitions and no {partition}"):
        client.read("t", partition)
    with pytest.raises(BrokerError, match="no topic 'u'"):
        client.ends("u")


def test_bounds_are_those_of_every_partition(client: KafkaClient) -> None:
    assert (client.starts("t"), client.ends("t")) == ({0: 3, 1: 3}, {0: 10, 1: 10})


def test_commits_are_those_of_the_topic_that_are_there(client: KafkaClient, admin: Admin) -> None:
    admin.offsets = {
        TopicPartition(topic, p): OffsetAndMetadata(at, "", -1)
        for topic, p, at in [("t", 0, 0), ("t", 1, 5), ("t", 2, -1), ("u", 3, 9)]
    }
    assert client.committed("g", "t") == {0: 0, 1: 5}
    assert client.committed("g", "u") == {3: 9}


def test_offsets_are_set_or_the_refusal_is_said(client: KafkaClient, admin: Admin) -> None:
    client.rewind("g", {("t", 1): 4})
    assert admin.altered == [("g", {TopicPartition("t", 1): OffsetAndMetadata(4, "", -1)})]
    admin.alter_error = errors.UnknownMemberIdError
    with pytest.raises(BrokerError, match=r"offsets of group 'g': .*t/1; are its workers stopped"):
        client.rewind("g", {("t", 1): 4})


@pytest.mark.parametrize(
    ("described", "members"),
    [
        ({"members": [{}, {}], "error": None}, 2),
        ({"members": [], "error": "[Error 69] GroupIdNotFoundError: Group g not found."}, 0),
        ({"members": [], "error": "[Error 14] CoordinatorLoadInProgressError"}, None),
    ],
)
def test_members_of_a_group_are_counted_where_the_broker_says(
    client: KafkaClient, admin: Admin, described: dict[str, Any], members: int | None
) -> None:
    admin.described = described
    assert client.members("g") == members


@pytest.mark.parametrize("outcome", ["OK", "GroupIdNotFoundError", None])
def test_a_group_that_is_gone_or_unknown_is_forgotten(
    client: KafkaClient, admin: Admin, outcome: str | None
) -> None:
    admin.delete_outcome = outcome
    client.delete_group("g")


@pytest.mark.parametrize("outcome", ["NonEmptyGroupError", "SomethingNew"])
def test_a_group_that_is_not_deleted_is_named(
    client: KafkaClient, admin: Admin, outcome: str
) -> None:
    admin.delete_outcome = outcome
    with pytest.raises(BrokerError, match=r"delete group 'g': .*are its workers stopped"):
        client.delete_group("g")


@pytest.mark.parametrize(
    ("settings", "bounds"),
    [
        (
            {"group.min.session.timeout.ms": "1000", "group.max.session.timeout.ms": "9000"},
            (1.0, 9.0),
        ),
        ({"group.min.session.timeout.ms": "2500"}, (2.5, 1800.0)),
        ({}, (6.0, 1800.0)),
        (None, (6.0, 1800.0)),
    ],
)
def test_sessions_are_bounded_as_the_broker_says_or_as_kafka_does(
    client: KafkaClient, admin: Admin, settings: Mapping[str, str] | None, bounds: Any
) -> None:
    admin.settings = settings
    assert client.session_bounds() == bounds


def test_all_connections_are_closed(client: KafkaClient, admin: Admin) -> None:
    client.close()
    assert admin.closed
    assert client._reader.closed  # type: ignore[attr-defined]
    assert client._producers.calls == ["close"]  # type: ignore[attr-defined]
