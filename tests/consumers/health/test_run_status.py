"""What anybody is shown of a run's progress."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.health.run_status import run_status, status_lines
from consumers.snapshots.failed_snapshots import give_up
from consumers.snapshots.snapshots import publish, write_shard
from streams import topics
from streams.transport.memory.broker import forget
from tests import factories
from tests.service import Service, make_service

NAME = "watching"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    yield make_service(f"memory://{NAME}", tmp_path, NAME)
    forget(NAME)


def sides(service: Service) -> list[str]:
    lines = status_lines(run_status(service.client, service.plan.run))
    return [line for line in lines if line.startswith(("activations", "aggregates"))]


def test_a_run_that_nobody_served_has_all_its_records_left(service: Service):
    assert sides(service)[0] == "activations: 0 of 52 records acknowledged, lag 52"


def test_a_side_is_done_once_the_final_snapshot_is_there_whatever_was_acknowledged(
    service: Service,
):
    service.serve(1, 1)
    activations, _ = sides(service)
    assert activations == "activations: 52 of 52 records acknowledged, lag 0"
    behind = {(topics.partials(NAME, 3, 0).name, 1): 5}
    service.client.rewind(topics.aggregates_app(NAME), behind)
    _, aggregates = sides(service)
    assert aggregates.startswith("aggregates: done, the final snapshot holds the whole corpus; ")
    assert "lag" not in aggregates


def test_rates_are_what_was_acknowledged_between_two_looks(service: Service):
    group, corpus = topics.activations_app(NAME), topics.tokens(f"{NAME}-text", 4).name
    service.client.rewind(group, {(corpus, 0): 3})
    now = [100.0]

    def work(seconds: float) -> None:
        service.client.rewind(group, {(corpus, 0): 9, (corpus, 1): 2})
        now[0] += seconds

    status = run_status(service.client, service.plan.run, 4.0, work, lambda: now[0])
    activations, aggregates = status.sides
    assert (activations.records, activations.acknowledged, activations.lag) == (52, 11, 41)
    assert (activations.records_per_second, activations.eta_seconds) == (2.0, 20.5)
    assert (aggregates.records, aggregates.lag, aggregates.eta_seconds) == (0, 0, None)
    assert (activations.watermark, activations.workers) == (0.0, 0)  # two partitions wait
    assert aggregates.watermark is None
    assert "11 of 52 records acknowledged, lag 41, 2.0 records/s, ETA " in "\n".join(
        status_lines(status)
    )


def test_where_nothing_moves_no_end_is_foreseen(service: Service):
    slept: list[float] = []
    clock = iter((1.0, 3.0))
    status = run_status(service.client, service.plan.run, 2.0, slept.append, lambda: next(clock))
    assert (slept, status.sides[0].records_per_second, status.sides[0].eta_seconds) == (
        [2.0], 0.0, None,
    )  # fmt: skip
    assert "none in these seconds" in "\n".join(status_lines(status))
    run_status(service.client, service.plan.run, 0.0, slept.append)
    assert slept == [2.0]


def test_snapshots_are_shown_as_they_stand(service: Service):
    plan, client = service.plan, service.client
    write_shard(plan, "half", 1, factories.complete_states(plan, 1), client)
    write_shard(plan, "half", 0, factories.complete_states(plan, 0), client)
    publish(client, f"{NAME}/odd", b"junk")
    give_up(plan, client, "lost", "the disk is\x1b full")
    service.serve(1, 1)
    status = run_status(client, plan.run, 5.0, lambda _: pytest.fail("it has ended"))
    found = {one.name: (one.state, one.shards) for one in status.snapshots}
    assert found == {
        "final": ("final", 3),
        "half": ("incomplete", 2),
        "lost": ("failed", 0),
        "odd": ("unreadable", 0),
    }
    assert (status.finished, status.failed) == (True, None)
    lines = "\n".join(status_lines(status))
    assert "snapshot half: 2 of 3 shards written" in lines
    assert "snapshot lost: failed, the disk is" in lines
    assert (
        f"snapshot final: final, {status.snapshots[0].created}, content {service.expected()}"
        in (lines)
    )


def test_a_finished_run_does_not_mind_that_its_topics_are_gone(service: Service):
    service.serve(1, 1)
    tokens = topics.tokens(f"{NAME}-text", 4).name
    service.client.delete_topics([tokens, topics.partials(NAME, 3, 0).name])
    lines = list(status_lines(run_status(service.client, service.plan.run)))
    assert f"corpus {NAME}-text (deleted), model " in "\n".join(lines)
    assert sides(service) == [
        f"{side}: done, the final snapshot holds the whole corpus"
        for side in ("activations", "aggregates")
    ]


def test_an_unfinished_run_whose_topic_is_gone_cannot_be_finished(service: Service):
    service.client.delete_topics([topics.partials(NAME, 3, 0).name])
    assert "is not on the broker any more, so the run cannot be finished" in sides(service)[1]
