"""Deleting on both transports: a finished run outlives its corpus, and its files go with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.health.run_status import run_status, status_lines
from consumers.runs.deletion import plan_corpus_removal, plan_run_removal, remove_run
from consumers.service.repair import repair
from producers.corpora import delete_corpus
from streams import topics
from streams.catalog.runs import list_runs
from streams.transport.memory.broker import forget
from tests.service import make_service


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, prefix: str) -> Iterator[str]:
    if request.param == "memory":
        yield f"memory://{prefix}"
        forget(prefix)
    else:
        request.getfixturevalue("kafka")  # deletes what the test leaves behind
        yield request.getfixturevalue("kafka_url")


def test_a_run_outlives_its_corpus_and_takes_its_files_along(
    url: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(url, tmp_path / "store", prefix)
    client, run = service.client, service.plan.run
    assert plan_corpus_removal(client, run.corpus).unfinished == (prefix,)
    assert list(status_lines(run_status(client, run)))[-2].endswith("acknowledged, lag 52")
    service.serve(1, 1)
    removal = plan_corpus_removal(client, run.corpus)
    assert (removal.unfinished, removal.finished, removal.records) == ((), (prefix,), 52)
    delete_corpus(client, run.corpus)
    assert topics.tokens(run.corpus, 1).name not in client.topics()
    status = run_status(client, run)
    assert (status.finished, status.corpus_on_broker) == (True, False)
    assert repair(client, service.plan) == ()

    planned = plan_run_removal(client, run, keep_files=False)
    assert planned.finished
    assert {name for name, _ in planned.topics} == {
        topics.partials(prefix, 3, 0).name,
        topics.changelog(prefix, 3, 0).name,
    }
    remove_run(client, planned)
    assert prefix not in {record.name for record in list_runs(client)}
    assert not {name for name in client.topics() if prefix in name}
    assert list((tmp_path / "store").rglob("*")) == []
