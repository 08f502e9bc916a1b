"""What is noted of a worker's assignment, whatever the names on the broker begin with."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.health.limits import Limits
from consumers.health.metrics import ProgressCollector
from streams.monitoring import events
from streams.transport.access import BrokerAccess
from streams.transport.memory.broker import forget
from tests.service import Service, make_service

NAME = "group-watching"


@pytest.fixture(params=["", "team-a."])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    access = BrokerAccess(f"memory://{NAME}", prefix=request.param)
    made = make_service(access, tmp_path, "test")
    yield replace(made, limits=Limits(incomplete=0.4))
    forget(NAME)


def test_assignments_are_said_and_counted_and_workers_stand_somewhere(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, events.LOGGER)
    progress = service.progress
    service.serve(1, 1, until=lambda: service.is_done() and len(progress.positions) == 2)
    said = [r.fields for r in caplog.records if r.event == "rebalanced"]  # type: ignore[attr-defined]
    assert {(f["side"], f["topic"], tuple(f["partitions"])) for f in said} == {
        ("activations", "tokens.test-text", (0, 1, 2, 3)),
        ("aggregates", "partials.test", (0, 1, 2)),
    }
    assert progress.done.rebalances == {"activations": 1, "aggregates": 1}
    stands = {position.side: position for position in progress.positions.values()}
    assert set(stands["activations"].lag) == {0, 1, 2, 3}
    assert stands["activations"].total == 52
    assert set(stands["aggregates"].state_bytes) == {0, 1, 2}
    samples = {
        (s.name, s.labels.get("side")): s.value
        for family in ProgressCollector(progress).collect()
        for s in family.samples
    }
    assert samples["millrace_assigned_partitions", "activations"] == 4
    assert samples["millrace_assigned_partitions", "aggregates"] == 3
