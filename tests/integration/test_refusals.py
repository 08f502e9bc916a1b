"""What the workers do with records that they cannot process, and with everything else."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from consumers.activations.engine import Activations
from consumers.health.group_lag import readings
from consumers.health.limits import Limits
from consumers.health.run_status import run_status, status_lines
from consumers.oracle.oracle_run import oracle_tables, topic_batches
from consumers.plan import Plan
from consumers.snapshots.verdict import expect_few_refused
from streams import topics
from streams.deadletters import read_dead_letters
from streams.errors import (
    BrokerError,
    SnapshotFailedError,
    TooManyDeadLettersError,
    TooManyRefusedError,
)
from streams.records.corpus import TokenBatch
from streams.snapshots.content import content_hash
from streams.snapshots.manifests import RefusedRecord
from streams.snapshots.store import read_manifest
from streams.snapshots.table_hashes import verify
from streams.transport.client import StoredRecord
from streams.transport.memory.broker import Faults, broker, forget
from tests import factories, published
from tests.service import Service, make_service

PER_PARTITION = 12


@pytest.fixture
def url(prefix: str) -> Iterator[str]:
    yield f"memory://{prefix}"
    forget(prefix)


def poisoned(*places: tuple[int, int]) -> list[TokenBatch]:
    """Return batches of which those at (partition, sequence) hold an id that no model knows."""
    return [
        replace(batch, ids=batch.ids + 50) if (batch.partition, batch.sequence) in places else batch
        for batch in factories.batches(partitions=4, per_partition=PER_PARTITION)
    ]


def oracle_content(service: Service) -> str:
    batches = topic_batches(service.client, service.plan)
    return content_hash(oracle_tables(service.plan, service.engine, batches, published.WORDS))


def committed(service: Service, app: str, topic: str) -> int:
    return sum(r.at for r in readings(service.client, app, topic).values())


def activations_done(service: Service) -> bool:
    app = topics.activations_app(service.plan.run.name)
    return all(r.lag == 0 for r in readings(service.client, app, corpus_of(service)).values())


def corpus_of(service: Service) -> str:
    return topics.tokens(service.plan.run.corpus, 4).name


def test_refused_batches_are_named_in_the_final_snapshot_and_counted_as_the_oracle_does(
    url: str, prefix: str, tmp_path: Path
) -> None:
    batches = poisoned((0, 0), (2, 5), (2, 11))
    service = make_service(url, tmp_path, prefix, batches=batches)
    partials = topics.partials(prefix, 3, 0).name
    with service.client.sender() as sender:
        sender.send(partials, 1, b"\x01junk", headers=((topics.KIND, topics.STATISTICS),))
        sender.send(corpus_of(service), 3, b"no part of the run")
    service.serve(2, 2)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == oracle_content(service) == verify(manifest)
    why = "token id {} lies outside the vocabulary of 50 ids"
    corpus = corpus_of(service)
    named = [(d.topic, d.partition, d.offset, d.error) for d in manifest.dead_letters]
    assert named == [
        (partials, 1, 0, "VersionError"),
        (corpus, 0, 0, "VocabularyError"),
        (corpus, 2, 5, "VocabularyError"),
        (corpus, 2, 11, "VocabularyError"),
        *([(corpus, 3, 13, "UndecodableError")] if len(named) == 5 else []),
    ]
    assert manifest.dead_letters[1].message == why.format(int(batches[0].ids.max()))
    lines = list(status_lines(run_status(service.client, service.plan.run)))
    assert f"  refused: {corpus}, partition 0, offset 0: VocabularyError: " in "\n".join(lines)


def test_dead_letters_of_another_run_of_the_same_name_are_not_named(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path, prefix, batches=poisoned((1, 1)))
    found = RefusedRecord(corpus_of(service), 1, 1, "VocabularyError", "")
    service.serve(1, 1)
    manifest = service.manifest()
    assert manifest is not None
    assert [replace(d, message="") for d in manifest.dead_letters] == [found]
    from consumers.snapshots.refused_share import refused_records

    assert refused_records(replace(service.plan, id="0" * 32), service.client) == ()


class HeldBack(Faults):
    """Confirms dead letters late."""

    def confirm(self, record: StoredRecord) -> float:
        return 1.5 if record.topic == topics.DEAD_LETTERS.name else 0.0


def test_a_refused_record_is_acknowledged_only_after_its_dead_letter_is_stored(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path, prefix, batches=poisoned(*((p, 3) for p in range(4))))
    broker(prefix).faults = HeldBack()
    seen: list[tuple[int, int, int]] = []

    def refused_something() -> bool:
        for letter in read_dead_letters(service.client):
            origin = letter.refusal.origin
            group = topics.activations_app(prefix)
            found = readings(service.client, group, corpus_of(service))
            told = [
                record
                for shard in range(3)
                for record in service.client.read(topics.partials(prefix, 3, 0).name, shard)
                if dict(record.headers)[topics.SEQUENCE] == b"3"
            ]
            seen.append((found[origin.partition].at, origin.offset, len(told)))
            return True
        return False

    service.serve(1, 0, until=refused_something)
    ((at, refused, told),) = seen
    assert at <= refused
    assert told == 0  # no shard goes on behind a batch before its dead letter is certain


class Refusing(Faults):
    """Fails every dead letter."""

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        if topic == topics.DEAD_LETTERS.name:
            raise BrokerError("no room")


def test_a_dead_letter_that_cannot_be_stored_ends_the_worker(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path, prefix, batches=poisoned((0, 0)))
    broker(prefix).faults = Refusing()
    with pytest.raises(BrokerError, match=r"dead-letters.* was not stored"):
        service.serve(1, 0)
    assert readings(service.client, topics.activations_app(prefix), corpus_of(service))[0].at == 0


def until_done(service: Service, activations: int, aggregates: int, most: int) -> int:
    """Serve again and again, as a process manager would; return how often the breaker ended it."""
    for ends in range(most + 1):
        try:
            service.serve(activations, aggregates)
        except TooManyDeadLettersError:
            continue
        return ends
    raise AssertionError(f"the run did not end in {most + 1} starts")


def assert_exact(service: Service) -> None:
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == oracle_content(service) == verify(manifest)


def assert_refused_once_each(service: Service, count: int) -> None:
    letters = list(read_dead_letters(service.client))
    assert len({letter.refusal.origin for letter in letters}) == len(letters) == count


def send_junk(service: Service, per_shard: int) -> int:
    """Put junk at the head of every shard's partials; return how many records that are."""
    shards = service.plan.run.shards
    with service.client.sender() as sender:
        for shard in range(shards):
            for number in range(per_shard):
                junk = b"\x01junk %d" % number
                kind = ((topics.KIND, topics.STATISTICS),) if number % 2 else ()
                sender.send(topics.partials(service.plan.run.name, 3, 0).name, shard, junk,
                            headers=kind)  # fmt: skip
    return shards * per_shard


def test_a_little_junk_at_the_head_of_every_shard_ends_nobody(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path, prefix)
    count = send_junk(service, 3)
    service.serve(1, 1)
    assert_exact(service)
    assert_refused_once_each(service, count)


def test_junk_at_the_head_of_every_shard_is_refused_once_however_often_a_worker_starts(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path, prefix)
    count = send_junk(service, 15)
    service = replace(service, limits=Limits(dead_letter_run=4))
    service.serve(1, 0, until=lambda: activations_done(service))
    ends = until_done(service, 0, 1, most=count)
    # Every start gets four further in some shard, and none begins where one before it did.
    assert 3 <= ends <= count // 4
    assert_exact(service)
    assert_refused_once_each(service, count)


@pytest.mark.kafka
def test_an_end_by_the_breaker_is_an_orderly_one_on_kafka_too(
    kafka_url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(kafka_url, tmp_path, prefix)
    count = send_junk(service, 5)
    service.serve(1, 0, until=lambda: activations_done(service))
    ends = until_done(replace(service, limits=Limits(dead_letter_run=4)), 0, 1, most=count)
    assert 1 <= ends <= count // 4
    assert_exact(service)
    letters = list(read_dead_letters(service.client, prefix))
    assert len({letter.refusal.origin for letter in letters}) == len(letters) == count
    service.client.delete_topics([name for name in service.client.topics() if prefix in name])
    service.client.close()


def test_refused_batches_end_the_activation_side_and_the_next_start_goes_on_behind_them(
    url: str, prefix: str, tmp_path: Path
) -> None:
    refused = [(p, s) for p in (0, 2) for s in range(10)]
    service = make_service(url, tmp_path, prefix, batches=poisoned(*refused))
    service = replace(service, limits=Limits(dead_letter_run=4))
    ends = until_done(service, 1, 1, most=len(refused))
    assert 2 <= ends <= len(refused) // 4
    assert_exact(service)
    assert_refused_once_each(service, len(refused))


def test_too_many_refused_batches_end_the_activation_side(
    url: str, prefix: str, tmp_path: Path
) -> None:
    everything = [(p, s) for p in range(4) for s in range(PER_PARTITION)]
    service = make_service(url, tmp_path, prefix, batches=poisoned(*everything))
    service = replace(service, limits=Limits(dead_letter_run=6))
    with pytest.raises(TooManyDeadLettersError, match="6 records in a row of partition"):
        service.serve(1, 0)
    letters = list(read_dead_letters(service.client))
    # Of four partitions in turn; and what was under way with the last one is finished with it.
    assert 6 <= len(letters) <= 4 * 6 + 3
    found = readings(service.client, topics.activations_app(prefix), corpus_of(service))
    assert sum(r.at for r in found.values()) == len(letters)


def test_too_many_refused_partials_end_the_aggregate_side(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path, prefix)
    service = replace(service, limits=Limits(dead_letter_records=8, dead_letter_ratio=0.5))
    partials = topics.partials(prefix, 3, 0).name
    with service.client.sender() as sender:
        for _ in range(10):
            sender.send(partials, 0, b"junk")
    with pytest.raises(TooManyDeadLettersError, match="5 of the last 5 records"):
        service.serve(0, 1)
    assert committed(service, topics.aggregates_app(prefix), partials) == 5


class LosesTheThird(Faults):
    """Fails the third dead letter."""

    def __init__(self) -> None:
        self.seen = 0

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        if topic == topics.DEAD_LETTERS.name:
            self.seen += 1
            if self.seen == 3:
                raise BrokerError("no room")


def test_a_send_that_fails_is_no_orderly_end(url: str, prefix: str, tmp_path: Path) -> None:
    service = make_service(url, tmp_path, prefix)
    count = send_junk(service, 3)
    broker(prefix).faults = LosesTheThird()
    with pytest.raises(BrokerError, match="was not stored"):
        replace(service, limits=Limits(dead_letter_run=3)).serve(0, 1)
    read = committed(service, topics.aggregates_app(prefix), topics.partials(prefix, 3, 0).name)
    assert read <= 2
    service.serve(1, 1)
    assert_exact(service)
    origins = {letter.refusal.origin for letter in read_dead_letters(service.client)}
    assert len(origins) == count


@dataclass(frozen=True)
class Failing:
    """An engine whose device fails at one batch."""

    plan: Plan
    error: Exception

    def compute(self, batch: TokenBatch, valid: Any) -> Activations:
        if (batch.partition, batch.sequence) == (1, 2):
            raise self.error
        return factories.DenseEngine(self.plan).compute(batch, valid)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA error: out of memory"), MemoryError("host"), OSError(28, "disk is full")],
    ids=["device", "memory", "disk"],
)
def test_what_is_no_fault_of_the_record_ends_the_worker_and_is_no_dead_letter(
    url: str, prefix: str, tmp_path: Path, error: Exception
) -> None:
    service = make_service(url, tmp_path, prefix)
    failing = replace(service, engine=Failing(service.plan, error))
    with pytest.raises(type(error)):
        failing.serve(1, 0)
    assert not list(read_dead_letters(service.client))
    found = readings(service.client, topics.activations_app(prefix), corpus_of(service))
    assert found[1].at <= 2
    service.serve(1, 1)  # started again on a sound device it loses nothing
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()


def test_a_run_of_which_every_batch_was_refused_has_failed_and_says_why(
    url: str, prefix: str, tmp_path: Path
) -> None:
    everything = [(p, s) for p in range(4) for s in range(PER_PARTITION)]
    service = make_service(url, tmp_path, prefix, batches=poisoned(*everything))
    patient = replace(service, limits=Limits(dead_letter_run=10**6, dead_letter_ratio=1.0))
    with pytest.raises(SnapshotFailedError, match="all 48 batches were refused: 48 times Voc"):
        patient.serve(1, 2)
    with pytest.raises(SnapshotFailedError, match="lies outside the vocabulary of 50 ids"):
        read_manifest(str(tmp_path / prefix / "final"))


@pytest.mark.parametrize(("refused", "share", "says"), [(3, 0.05, True), (3, 0.0625, False)])
def test_a_run_of_which_too_much_was_refused_has_its_final_snapshot_and_says_so(
    url: str, prefix: str, tmp_path: Path, refused: int, share: float, says: bool
) -> None:
    places = [(0, s) for s in range(refused)]
    service = make_service(url, tmp_path, prefix, batches=poisoned(*places))
    service = replace(service, limits=Limits(refused_share=share))
    service.serve(2, 2)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == oracle_content(service)
    assert manifest.excess_refusals.startswith("3 of 48 batches were refused") == says
    if says:
        with pytest.raises(TooManyRefusedError, match="VocabularyError"):
            expect_few_refused(manifest)


def test_what_ends_a_worker_for_too_many_dead_letters_names_the_last_cause(
    url: str, prefix: str, tmp_path: Path
) -> None:
    everything = [(p, s) for p in range(4) for s in range(PER_PARTITION)]
    service = make_service(url, tmp_path, prefix, batches=poisoned(*everything))
    service = replace(service, limits=Limits(dead_letter_run=3))
    with pytest.raises(TooManyDeadLettersError, match="the last one: token id"):
        service.serve(1, 0)
