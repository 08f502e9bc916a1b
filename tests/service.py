"""The whole service in one event loop, on any broker, over a stand-in for the models."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from consumers.activations.engine import Engine
from consumers.health.limits import Limits
from consumers.health.progress import Progress
from consumers.oracle.oracle_run import oracle_tables
from consumers.plan import Plan, make_plan
from consumers.rankings.ranking import Ranking
from consumers.rankings.registry import RANKINGS
from consumers.selection.worker import ActivationWorker
from consumers.service.activation_agent import activations_app
from consumers.service.aggregate_agent import aggregates_app
from consumers.service.kernel_warmup import warm_up
from consumers.snapshots.snapshots import final_manifest
from streams.records.corpus import TokenBatch
from streams.snapshots.content import content_hash
from streams.snapshots.manifests import RunManifest
from streams.transport.access import BrokerAccess
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.faust.app import AppOptions, serve
from tests import factories, published

PATIENCE = 240.0  # of a busy machine


@dataclass(frozen=True)
class Service:
    """A published corpus and run, and the engine that computes it."""

    broker: BrokerAccess | str
    client: Client
    plan: Plan
    batches: tuple[TokenBatch, ...]
    engine: Engine
    progress: Progress
    limits: Limits = Limits()
    session: float = 10.0

    def serve(
        self, activations: int, aggregates: int, until: Callable[[], bool] | None = None
    ) -> None:
        """Run workers until ``until()``, by default until the final snapshot is there."""
        warm_up(self.plan)  # as ``serve_run`` does: no limit is there for what compiles
        asyncio.run(asyncio.wait_for(self._serve(activations, aggregates, until), PATIENCE))

    async def _serve(
        self, activations: int, aggregates: int, until: Callable[[], bool] | None
    ) -> None:
        apps = [
            activations_app(
                self.plan,
                lambda: ActivationWorker(self.plan, self.engine),
                self.broker,
                self._options(),
                self.progress,
                self.limits,
            )
            for _ in range(activations)
        ]
        apps += [
            aggregates_app(
                self.plan,
                self.broker,
                self._options(),
                self.progress,
                self.limits,
            )
            for _ in range(aggregates)
        ]
        await serve(apps, until or self.is_done)

    def _options(self) -> AppOptions:
        return AppOptions(
            session=self.session,
            heartbeat=1.0,
            rebalance=2 * self.session,
            commit_interval=0.2,
            leave=lambda status: None,
        )

    def is_done(self) -> bool:
        """Return whether the final snapshot is there."""
        return self.manifest() is not None

    def manifest(self) -> RunManifest | None:
        """Return the final snapshot's manifest."""
        return final_manifest(self.client, self.plan)

    def expected(self) -> str:
        """Return the oracle's content."""
        tables = oracle_tables(self.plan, self.engine, iter(self.batches), published.WORDS)
        return content_hash(tables, self.plan.forms)


def make_service(
    broker: BrokerAccess | str,
    store: Path,
    prefix: str = "test",
    *,
    batches: Sequence[TokenBatch] | None = None,
    known: Sequence[Ranking] = RANKINGS,
    **run: Any,
) -> Service:
    """Publish a corpus and a run over it; names begin with ``prefix``. known: rankings."""
    record = factories.run_record(
        **{"name": prefix, "corpus": f"{prefix}-text", "store": str(store), "partitions": 4, **run}
    )
    given = batches or factories.batches(partitions=record.partitions, per_partition=12)
    renamed = tuple(replace(batch, corpus=record.corpus) for batch in given)
    client = connect(broker)
    published.publish(client, record, renamed)
    plan = make_plan(record, rankings=known)
    return Service(broker, client, plan, renamed, factories.DenseEngine(plan), Progress())
