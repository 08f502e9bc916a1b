"""Input that others deleted before it was read: whoever needs it ends, with one advice."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition

from consumers.health.group_lag import readings
from consumers.health.limits import Limits
from consumers.health.run_status import run_status, status_lines
from consumers.service.repair import repair
from consumers.service.serving import Crew, serve_run
from millrace.cli import run_program
from streams import topics
from streams.errors import (
    LostInputError,
    RunError,
    SnapshotFailedError,
    StallError,
    StreamError,
)
from streams.transport.access import BrokerAccess, access_to
from streams.transport.client import StoredRecord
from streams.transport.memory.broker import Faults, broker, forget
from tests.integration.test_repair import PARTITION, activations_done, break_chain
from tests.service import Service, make_service

SOON = Limits(stall=20.0, incomplete=0.2)


# Each of these notices it at another place, with another name of the topic at hand.
with_a_prefix_too = pytest.mark.parametrize("service", ["", "team-a."], indirect=True)


@pytest.fixture
def service(prefix: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    access = BrokerAccess(f"memory://{prefix}", getattr(request, "param", ""))
    made = make_service(access, tmp_path, prefix)
    yield replace(made, limits=SOON)
    forget(prefix)


def corpus_of(service: Service) -> str:
    return topics.tokens(service.plan.run.corpus, 4).name


def partials_of(service: Service) -> str:
    return topics.partials(service.plan.run.name, 3, 0).name


def cut_corpus(service: Service, before: int, partition: int = PARTITION) -> str:
    """Delete the first records of a partition of the corpus; return the advice for that."""
    run = service.plan.run
    topic = access_to(service.broker).full(corpus_of(service))
    broker(run.name).delete_records(topic, partition, before)
    return f"delete corpus {run.corpus}, produce it again, and start a new run over it"


def cut_partials(service: Service, shard: int, before: int) -> str:
    run = service.plan.run
    topic = access_to(service.broker).full(partials_of(service))
    broker(run.name).delete_records(topic, shard, before)
    return f"delete run {run.name} and create it anew"


def shown(service: Service) -> str:
    return "\n".join(status_lines(run_status(service.client, service.plan.run)))


def assert_all_say(service: Service, advice: str) -> None:
    """Whoever is asked about the run gives the advice, and no other."""
    assert advice in (run_status(service.client, service.plan.run).failed or "")
    said = [shown(service)]
    with pytest.raises(StreamError) as refused:
        repair(service.client, service.plan)
    said.append(str(refused.value))
    for text in said:
        assert advice in text
        assert "millrace repair" not in text


@with_a_prefix_too
def test_a_corpus_that_was_cut_before_anybody_read_it_ends_the_activation_side(
    service: Service,
) -> None:
    advice = cut_corpus(service, 4)
    with pytest.raises(LostInputError, match=f"partition {PARTITION}: offset 0 .*{advice}"):
        service.serve(1, 0)
    assert_all_say(service, advice)


def test_a_corpus_that_was_cut_while_nobody_served_ends_the_activation_side(
    service: Service, prefix: str
) -> None:
    group = topics.activations_app(prefix)
    service.client.rewind(group, {(corpus_of(service), PARTITION): 3})
    advice = cut_corpus(service, 4)
    with pytest.raises(LostInputError, match=f"offset 3 is needed.*{advice}"):
        service.serve(1, 0)
    assert_all_say(service, advice)


def test_what_was_read_may_be_deleted(service: Service) -> None:
    service.serve(1, 0, until=lambda: activations_done(service))
    cut_corpus(service, 0)
    service.serve(1, 1)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
    cut_corpus(service, 9)
    cut_partials(service, 1, 9)
    assert run_status(service.client, service.plan.run).failed is None
    assert repair(service.client, service.plan) == ()


def test_partials_that_were_cut_end_the_aggregate_side(service: Service) -> None:
    service.serve(1, 0, until=lambda: activations_done(service))
    advice = cut_partials(service, 1, 4)
    with pytest.raises(LostInputError, match=f"partition 1: offset 0 is needed.*{advice}"):
        service.serve(0, 2)
    assert_all_say(service, advice)


class Withheld(Faults):
    """Delivers no partial."""

    def fetch(self, records: list[StoredRecord]) -> list[StoredRecord]:
        return [] if topics.PARTIALS in records[0].topic else records


@with_a_prefix_too
def test_a_running_worker_whose_whole_input_is_deleted_ends_though_it_has_no_lag(
    service: Service, prefix: str
) -> None:
    service.serve(1, 0, until=lambda: activations_done(service))
    broker(prefix).faults = Withheld()
    advices: list[str] = []

    def cut() -> bool:
        group = access_to(service.broker).full(topics.aggregates_app(prefix))
        if not advices and broker(prefix).group(group).members:
            time.sleep(0.5)  # until it has sought, from where the records still are
            for shard in range(3):
                end = service.client.ends(partials_of(service))[shard]
                advices.append(cut_partials(service, shard, end))
        return False

    with pytest.raises(LostInputError, match=r"offset 0 is needed") as caught:
        service.serve(0, 1, until=cut)
    found = readings(service.client, topics.aggregates_app(prefix), partials_of(service))
    assert all(reading.lag == 0 for reading in found.values())
    assert advices[0] in str(caught.value)
    assert_all_say(service, advices[0])


def test_a_gap_whose_batch_was_deleted_is_no_case_for_repair(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(break_chain(service), limits=SOON)
    advice = cut_corpus(broken, 8)
    # Either shard 1 is the first to notice, or those that want the tokens of their samples.
    with pytest.raises(LostInputError, match=f"(batch 5 is needed|holds batch).*{advice}"):
        broken.serve(0, 2)
    assert "millrace repair" not in caplog.text
    assert_all_say(broken, advice)


def test_samples_that_were_deleted_before_the_final_snapshot_end_the_run(service: Service) -> None:
    service.serve(1, 0, until=lambda: activations_done(service))
    advice = cut_corpus(service, 13)
    with pytest.raises(LostInputError, match=f"no longer holds batch .*{advice}"):
        serve(service, Crew(aggregates=1))
    with pytest.raises(SnapshotFailedError, match=advice):
        serve(service, Crew(activations=1))


@with_a_prefix_too
def test_aggregators_end_when_the_activation_side_can_never_send_what_they_lack(
    service: Service,
) -> None:
    advice = cut_corpus(service, 4)
    with pytest.raises(LostInputError, match=f"batch 0 is needed.*{advice}"):
        service.serve(0, 1)


def test_a_corpus_of_which_nothing_is_left_in_a_partition_ends_aggregators(
    service: Service,
) -> None:
    advice = cut_corpus(service, 13)
    with pytest.raises(LostInputError, match=f"batch 0 is needed.*{advice}"):
        service.serve(0, 1)


def test_batches_that_a_producer_wrote_again_are_not_deleted(service: Service) -> None:
    corpus = corpus_of(service)
    with service.client.sender() as sender:
        for record in list(service.client.read(corpus, PARTITION)):
            sender.send(corpus, PARTITION, record.value, headers=record.headers)
    cut_corpus(service, 8)  # sequences 8 to 12 are there, then 0 to 12
    deadline = time.monotonic() + 1.5
    service.serve(0, 1, until=lambda: time.monotonic() > deadline)


def serve(service: Service, crew: Crew) -> None:
    engine = service.engine
    serve_run(
        service.plan,
        service.broker,
        crew,
        lambda: engine,
        service.progress,
        until_final=True,
        limits=service.limits,
    )


@with_a_prefix_too
def test_once_one_worker_knows_nobody_waits_for_the_run_any_more(service: Service) -> None:
    advice = cut_corpus(service, 4)
    with pytest.raises(LostInputError, match=advice):
        serve(service, Crew(activations=1))
    with pytest.raises(SnapshotFailedError, match=advice):
        serve(service, Crew(aggregates=1))
    assert "snapshot final: failed, " in shown(service)
    assert_all_say(service, advice)


def test_a_whole_run_in_one_process_ends_at_a_gap_since_nobody_could_repair_it(
    service: Service,
) -> None:
    broken = replace(break_chain(service), limits=SOON)
    with pytest.raises(StallError, match=r"lacks batch 5 of 12.*`millrace repair --run"):
        serve(broken, Crew(activations=1, aggregates=1))
    (rewound,) = repair(broken.client, broken.plan)
    assert rewound.offset == 5
    serve(broken, Crew(activations=1, aggregates=1))
    manifest = broken.manifest()
    assert manifest is not None
    assert manifest.content == broken.expected()


def test_repair_of_a_cut_run_is_refused_in_one_line(service: Service) -> None:
    advice = cut_corpus(service, 4)
    with pytest.raises(RunError, match=advice):
        repair(service.client, service.plan)


def test_no_run_is_created_over_a_corpus_that_was_cut(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = cut_corpus(service, 4)
    corpus = service.plan.run.corpus
    address = access_to(service.broker).address
    create = ["runs", "create", "--broker", address, "--corpus", corpus, "--run", "other"]
    assert run_program(create) == 2
    assert advice in capsys.readouterr().err


@pytest.mark.kafka
def test_deleted_input_ends_workers_on_kafka_too(
    kafka_url: str, prefix: str, tmp_path: Path
) -> None:
    made = replace(make_service(kafka_url, tmp_path, prefix), limits=SOON)
    admin = KafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))
    admin.delete_records({TopicPartition(corpus_of(made), PARTITION): 4})
    admin.close()
    advice = f"delete corpus {made.plan.run.corpus}, produce it again"
    with pytest.raises(LostInputError, match=f"offset 0 is needed.*{advice}"):
        serve(made, Crew(activations=1))
    with pytest.raises(SnapshotFailedError, match=advice):
        serve(made, Crew(aggregates=1))
    assert_all_say(made, advice)
    made.client.delete_topics([name for name in made.client.topics() if prefix in name])
    made.client.close()
