"""The two apps, on the embedded transport, arrive at the oracle's content."""

import asyncio
import itertools
from pathlib import Path

import pytest

from consumers.activation_agent import activations_app
from consumers.aggregate_agent import aggregates_app
from consumers.oracle import Oracle
from consumers.progress import Progress
from consumers.snapshots import content_of, final_manifest
from consumers.worker import ActivationWorker
from streams.app import AppOptions, serve
from streams.content import content_hash
from streams.plan import make_plan
from streams.transport.client import connect
from tests import factories, published

names = itertools.count()


@pytest.mark.parametrize("workers", [1, 3])
def test_final_snapshot_has_the_content_of_the_oracle(workers: int, tmp_path: Path) -> None:
    broker = f"memory://service-{next(names)}"
    run = factories.run_record(store=str(tmp_path), partitions=4)
    plan = make_plan(run)
    given = factories.batches(partitions=4, per_partition=20, seed=workers)
    client = connect(broker)
    published.publish(client, run, given)
    engine = factories.DenseEngine(plan)
    progress = Progress()

    def options(instance: str) -> AppOptions:
        return AppOptions(instance=instance, leave=lambda status: None)

    async def main() -> None:
        apps = [
            activations_app(
                plan, lambda: ActivationWorker(plan, engine), broker, options(f"a{n}"), progress
            )
            for n in range(workers)
        ]
        apps += [aggregates_app(plan, broker, options(f"b{n}"), progress) for n in range(workers)]
        await serve(apps, until=lambda: final_manifest(client, plan) is not None)

    asyncio.run(asyncio.wait_for(main(), 60))
    oracle = Oracle(plan, engine)
    for batch in given:
        oracle.add(batch)
    manifest = final_manifest(client, plan)
    assert manifest is not None
    assert manifest.final
    assert manifest.content == content_hash(oracle.tables(published.WORDS))
    assert content_of(manifest, check=True) == manifest.content
