"""Sessions of workers on a real broker: those that it takes, and the one line about others."""

from pathlib import Path

import pytest

from consumers.health.progress import Progress
from consumers.service.serving import Crew, serve_run
from millrace.cli import run_program
from tests.service import make_service

pytestmark = pytest.mark.kafka


def test_a_session_longer_than_a_request_takes_is_served(
    kafka_url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(kafka_url, tmp_path, prefix)
    engine = service.engine
    crew = Crew(activations=1, aggregates=1)
    serve_run(
        service.plan, kafka_url, crew, lambda: engine, Progress(), until_final=True, session=120
    )
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
    service.client.delete_topics([name for name in service.client.topics() if prefix in name])
    service.client.close()


@pytest.mark.parametrize("verb", ["activations", "aggregates"])
def test_a_session_that_the_broker_does_not_take_is_one_line(
    kafka_url: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--broker", kafka_url, "--session", "3600", "--stall", "9000")
    assert run_program([verb, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "limits.session = 3600: the broker takes " in line
