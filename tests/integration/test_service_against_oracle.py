"""The two apps arrive at the oracle's content, on the embedded transport and on Kafka."""

import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from consumers.activations.engine import Activations, Engine
from consumers.snapshots.snapshots import published, request_snapshot
from streams.arrays import Bool
from streams.catalog.runs import delete_run, list_runs, put_run
from streams.records.corpus import TokenBatch
from streams.records.runs import with_parameters
from streams.snapshots.table_hashes import verify
from streams.snapshots.table_reading import read_table
from tests import factories
from tests.service import Service, make_service


def assert_exact(service: Service) -> None:
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.final
    assert manifest.content == service.expected()
    assert verify(manifest) == manifest.content


@pytest.mark.parametrize("workers", [1, 3])
def test_final_snapshot_has_the_content_of_the_oracle(
    broker: str, prefix: str, workers: int, tmp_path: Path
) -> None:
    service = make_service(broker, tmp_path, prefix)
    service.serve(workers, workers)
    assert_exact(service)


@dataclass(frozen=True)
class Slow:
    """An engine that takes its time, so that there is a middle to stop in."""

    engine: Engine

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        time.sleep(0.1)
        return self.engine.compute(batch, valid)


def test_everything_may_stop_in_the_middle_and_start_again(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(broker, tmp_path, prefix)
    service = replace(service, engine=Slow(service.engine))
    for share in (0.2, 0.6):
        enough = share * len(service.batches)
        service.serve(1, 2, until=lambda enough=enough: service.progress.done.batches >= enough)  # type: ignore[misc]
    assert not service.is_done()
    service.serve(2, 1)
    assert_exact(service)


def test_workers_stop_soon_at_whatever_moment_of_their_start(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    service = replace(make_service(broker, tmp_path, prefix), session=60.0)
    chance = random.Random(7)
    for _ in range(12):
        workers, begun = chance.choice([(1, 1), (1, 2), (2, 1)]), time.monotonic()
        moment = begun + chance.uniform(0, 1.2) ** 2
        service.serve(*workers, until=lambda moment=moment: time.monotonic() >= moment)  # type: ignore[misc]
        # A session that nobody ends lasts a minute more.
        assert time.monotonic() < moment + 45
    service.serve(1, 1)
    assert_exact(service)


def test_a_second_run_takes_another_dictionary_over_the_same_corpus(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(broker, tmp_path, prefix)
    service.serve(1, 1)
    assert_exact(service)
    other = make_service_over(service, sources=(factories.source("other", components=20),))
    other.serve(1, 1)
    assert_exact(other)
    assert other.expected() != service.expected()


def make_service_over(service: Service, **changes: Any) -> Service:
    """Return another run over the corpus that a service has published."""
    from consumers.plan import make_plan

    run = replace(service.plan.run, name=f"{service.plan.run.name}-2", clusterings=(), **changes)
    put_run(service.client, run)
    plan = make_plan(run)
    return replace(service, plan=plan, engine=factories.DenseEngine(plan))


def test_a_deleted_run_leaves_the_corpus_and_other_runs_alone(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(broker, tmp_path, prefix)
    other = make_service_over(service)
    service.serve(1, 1)
    delete_run(service.client, service.plan.run.name)
    names = {run.name for run in list_runs(service.client)}
    assert service.plan.run.name not in names
    assert other.plan.run.name in names
    assert not published(service.client, service.plan.run.name)
    assert not [t for t in service.client.topics() if t == f"partials.{service.plan.run.name}"]
    other.serve(1, 1)
    assert_exact(other)


def test_a_snapshot_in_mid_run_is_true_and_stops_nothing(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    service = make_service(broker, tmp_path, prefix)
    half = len(service.batches) / 2
    service.serve(1, 1, until=lambda: service.progress.done.batches >= half)
    request_snapshot(service.client, service.plan.run, "middle")
    service.serve(1, 1, until=lambda: "" in published(service.client, prefix).get("middle", {}))
    service.serve(1, 1)
    assert_exact(service)
    from streams.snapshots.manifests import run_manifest

    middle = run_manifest(published(service.client, prefix)["middle"][""])
    final = service.manifest()
    assert final is not None
    counted = read_table(middle, "totals").to_pylist()[0]
    assert counted["batches"] == sum(n + 1 for n in middle.chains[0])
    everything = {(r["sample"], r["score"]) for r in all_hits(service)}
    assert {(r["sample"], r["score"]) for r in read_table(middle, "hits").to_pylist()} <= everything


def all_hits(service: Service) -> list[dict[str, object]]:
    """Return every hit of the run, from an oracle that keeps them all."""
    from consumers.oracle.oracle_run import oracle_tables
    from consumers.plan import make_plan

    plan = make_plan(
        replace(with_parameters(service.plan.run, k=1000), record_bytes=2**30, bucket_bytes=2**30)
    )
    rows: list[dict[str, object]] = oracle_tables(
        plan, factories.DenseEngine(plan), iter(service.batches), ()
    )["hits"].to_pylist()
    return rows
