"""Two prefixes on one embedded broker are two worlds, from the corpus to the final snapshot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.health.run_status import run_status
from streams.catalog.corpora import list_corpora
from streams.catalog.runs import delete_run, list_runs
from streams.deadletters import read_dead_letters
from streams.transport.access import BrokerAccess
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from tests import factories
from tests.service import Service, make_service


@pytest.fixture
def address(prefix: str) -> Iterator[str]:
    yield f"memory://{prefix}"
    forget(prefix)


def served(access: BrokerAccess, store: Path, **run: Any) -> Service:
    service = make_service(access, store, "same", **run)
    service.serve(2, 2)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
    return service


def test_runs_of_one_name_do_not_meet(address: str, tmp_path: Path) -> None:
    first = served(BrokerAccess(address, "a."), tmp_path / "a", k=3)
    second = connect(BrokerAccess(address, "b."))
    assert (list_runs(second), list_corpora(second), dict(second.topics())) == ([], [], {})
    served(BrokerAccess(address, "b."), tmp_path / "b", k=5)
    assert [run.k for run in list_runs(first.client)] == [3]
    delete_run(first.client, list_runs(first.client)[0].name)
    assert (list_runs(first.client), [run.k for run in list_runs(second)]) == ([], [5])
    assert run_status(second, list_runs(second)[0]).finished


def test_everything_on_the_broker_begins_with_the_prefix(address: str, tmp_path: Path) -> None:
    service = served(BrokerAccess(address, "team-a."), tmp_path)
    every = connect(address)
    assert set(every.topics()) == {f"team-a.{name}" for name in service.client.topics()}
    for group, topic in (
        ("activations.same", "tokens.same-text"),
        ("aggregates.same", "partials.same"),
    ):
        assert every.committed(f"team-a.{group}", f"team-a.{topic}")
        assert not every.committed(group, f"team-a.{topic}")
        assert service.client.committed(group, topic)
    changelog = "aggregates.same-buckets-changelog"
    assert sum(every.ends(f"team-a.{changelog}").values()) > 0


def test_dead_letters_name_topics_as_everything_here_does(address: str, tmp_path: Path) -> None:
    batches = factories.batches(partitions=4, per_partition=6)
    service = make_service(BrokerAccess(address, "team-a."), tmp_path, "same", batches=batches)
    with service.client.sender() as sender:
        sender.send("partials.same", 0, b"junk")
    service.serve(1, 1)
    (letter,) = read_dead_letters(service.client, "same", "")
    assert letter.refusal.origin.topic == "partials.same"
    assert letter.refusal.app == "aggregates.same"
    assert not list(read_dead_letters(connect(BrokerAccess(address, "b.")), "", ""))
