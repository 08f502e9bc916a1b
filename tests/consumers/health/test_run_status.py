"""What anybody is shown of a run's progress."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.health.run_status import run_status, status_lines
from streams import topics
from streams.transport.memory.broker import forget
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
    behind = {(topics.partials(NAME, 3, 0).name, 1): 5}
    service.client.rewind(topics.aggregates_app(NAME), behind)
    _, aggregates = sides(service)
    assert aggregates.startswith("aggregates: done, the final snapshot holds the whole corpus; ")
    assert "lag" not in aggregates
