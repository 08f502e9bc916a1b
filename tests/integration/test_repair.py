"""A chain that misses a link is named by the watchdog and mended by repair."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.health.group_lag import readings
from consumers.health.limits import Limits
from consumers.health.missing import first_missing, stored_states
from consumers.service.repair import Rewound, lines, repair
from streams import topics
from streams.errors import RunError
from streams.transport.memory.broker import broker, forget
from tests.service import Service, make_service

SHARD, PARTITION, LOST = 1, 2, 5


@pytest.fixture
def url(prefix: str) -> Iterator[str]:
    """A broker of this test's own; only one test also takes Kafka."""
    yield f"memory://{prefix}"
    forget(prefix)


@pytest.fixture
def broken(url: str, prefix: str, tmp_path: Path) -> Service:
    """A service whose activation side is done, and one of whose partials has disappeared."""
    return break_chain(make_service(url, tmp_path, prefix))


def break_chain(service: Service) -> Service:
    service.serve(2, 0, until=lambda: activations_done(service))
    forget_partial(service, topics.STATISTICS, LOST)
    return replace(service, limits=Limits(incomplete=0.2))


def activations_done(service: Service) -> bool:
    run = service.plan.run
    group, corpus = topics.activations_app(run.name), topics.tokens(run.corpus, 4).name
    return all(r.lag == 0 for r in readings(service.client, group, corpus).values())


def forget_partial(service: Service, kind: bytes, sequence: int) -> None:
    """Write the run's partials anew without one record of one shard."""
    run = service.plan.run
    topic = topics.partials(run.name, run.shards, run.record_bytes)
    records = [r for shard in range(run.shards) for r in service.client.read(topic.name, shard)]
    service.client.delete_topics([topic.name])
    service.client.create_topics([topic])
    from streams.records.partials import SourceEnd, Statistics
    from streams.wire import codec

    lost = 0
    with service.client.sender() as sender:
        for record in records:
            named = dict(record.headers)
            if record.partition == SHARD and named[topics.KIND] == kind:
                known = Statistics if kind == topics.STATISTICS else SourceEnd
                found = codec.decode(known, record.value)
                at = (found.partition, int(named[topics.SEQUENCE]))  # type: ignore[attr-defined]
                if at == (PARTITION, sequence):
                    lost += 1
                    continue
            sender.send(topic.name, record.partition, record.value, headers=record.headers)
    assert lost > 0


def assert_exact(service: Service) -> None:
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()


def test_a_chain_with_a_gap_is_named_and_repaired(
    broken: Service, caplog: pytest.LogCaptureFixture
) -> None:
    name = broken.plan.run.name
    with caplog.at_level(logging.ERROR):
        broken.serve(0, 2, until=lambda: "millrace repair" in caplog.text)
    bucket = broken.plan.buckets_of(SHARD).start
    assert (
        f"run {name}: shard {SHARD}, bucket {bucket} applied partition {PARTITION} up to batch "
        f"{LOST - 1} and lacks batch {LOST} of 12"
    ) in caplog.text
    assert f"`millrace repair --run {name}`" in caplog.text

    (rewound,) = done = repair(broken.client, broken.plan)
    assert (rewound.missing.partition, rewound.missing.sequence) == (PARTITION, LOST)
    assert (rewound.missing.shard, rewound.offset, rewound.before) == (SHARD, LOST, 13)
    said = "\n".join(lines(done, broken.plan, broken.client))
    assert f"partition {PARTITION}: shard {SHARD}, bucket {bucket} lacks batch {LOST}" in said

    broken.serve(1, 2)
    assert_exact(broken)
    assert repair(broken.client, broken.plan) == ()
    said = "\n".join(lines((), broken.plan, broken.client))
    assert "nothing is missing" in said


def test_a_gap_is_not_named_while_the_activation_side_has_yet_to_read_there(
    broken: Service, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = topics.tokens(broken.plan.run.corpus, 4).name
    broken.client.rewind(topics.activations_app(prefix), {(corpus, PARTITION): 12})
    aggregates, partials = topics.aggregates_app(prefix), topics.partials(prefix, 3, 0).name
    read_at: list[float] = []

    def watched_since_all_was_read() -> bool:
        if not read_at:
            found = readings(broken.client, aggregates, partials).values()
            if all(r.lag == 0 for r in found):
                read_at.append(time.monotonic())
            return False
        return time.monotonic() > read_at[0] + 5 * broken.limits.incomplete

    broken.serve(0, 1, until=watched_since_all_was_read)
    assert "millrace repair" not in caplog.text


def test_a_missing_end_is_repaired_too(url: str, prefix: str, tmp_path: Path) -> None:
    service = make_service(url, tmp_path, prefix)
    service.serve(1, 0, until=lambda: activations_done(service))
    forget_partial(service, topics.SOURCE_END, 12)
    aggregates, partials = topics.aggregates_app(prefix), topics.partials(prefix, 3, 0).name
    service.serve(
        0,
        1,
        until=lambda: all(
            r.lag == 0 for r in readings(service.client, aggregates, partials).values()
        ),
    )
    (rewound,) = repair(service.client, service.plan)
    assert (rewound.missing.partition, rewound.offset) == (PARTITION, 12)
    service.serve(1, 1)
    assert_exact(service)


def test_repair_refuses_while_activation_workers_are_there(broken: Service, prefix: str) -> None:
    group = broker(prefix).group(topics.activations_app(prefix))
    refused: list[str] = []

    def tried() -> bool:
        if group.members:
            with pytest.raises(RunError) as caught:
                repair(broken.client, broken.plan)
            refused.append(str(caught.value))
        return bool(refused)

    broken.serve(1, 0, until=tried)
    assert "stop the activation workers of the run first" in refused[0]


def test_a_bucket_that_was_never_written_lacks_everything(broken: Service) -> None:
    missing = first_missing(broken.plan, stored_states(broken.client, broken.plan))
    assert [(m.partition, m.sequence) for m in missing] == [(p, 0) for p in range(4)]
    done = repair(broken.client, broken.plan)
    assert {(r.missing.partition, r.offset) for r in done} == {(p, 0) for p in range(4)}
    assert "has" in next(lines(done, broken.plan, broken.client))
    broken.serve(1, 1)  # going back too far costs time only
    assert_exact(broken)


def test_what_the_activation_side_has_not_reached_is_not_missing(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path, prefix)
    assert repair(service.client, service.plan) == ()


@pytest.mark.kafka
def test_repair_does_the_same_on_kafka(kafka_url: str, prefix: str, tmp_path: Path) -> None:
    service = break_chain(make_service(kafka_url, tmp_path, prefix))
    aggregates, partials = topics.aggregates_app(prefix), topics.partials(prefix, 3, 0).name
    service.serve(
        0,
        1,
        until=lambda: all(
            r.lag == 0 for r in readings(service.client, aggregates, partials).values()
        ),
    )
    (rewound,) = when_sessions_are_over(service)
    assert (rewound.missing.partition, rewound.offset) == (PARTITION, LOST)
    service.serve(1, 1)
    assert_exact(service)
    service.client.delete_topics([name for name in service.client.topics() if prefix in name])
    service.client.close()


def when_sessions_are_over(service: Service) -> tuple[Rewound, ...]:
    """Repair as soon as it is not refused: stopped workers are members until their session ends."""
    deadline = time.monotonic() + 40
    while True:
        try:
            return repair(service.client, service.plan)
        except RunError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
