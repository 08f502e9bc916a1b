"""The real apps on the embedded transport under seeded faults arrive at the oracle's content.

Each seed is one schedule: at every point named in ``POINTS`` a worker may crash, sends fail, stall
or are confirmed late, records are delivered twice or late, commits are lost, workers are killed,
stopped, added or become zombies. MILLRACE_SERVICE_SCHEDULES sets how many are tried (80; the long
version takes 2,000), a twelfth of them with all numbers that a run has by default. A failing seed
is in the test's name.
"""

import asyncio
import functools
import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from consumers.activations.engine import Activations
from consumers.health.progress import Progress
from consumers.selection.kept import kept_table
from consumers.selection.selection import cluster_activity, valid_tokens
from consumers.selection.worker import ActivationWorker, Computed, Outcome
from consumers.service.activation_agent import activations_app
from consumers.service.aggregate_agent import aggregates_app
from consumers.snapshots.snapshots import final_manifest
from downstream.reading.kept import kept_activations
from streams.errors import BrokerError
from streams.records.corpus import TokenBatch
from streams.snapshots.kept_files import ACTIVATIONS, MERGED, SCHEMA, encoded, merged_path
from streams.snapshots.manifests import RunManifest
from streams.transport.client import StoredRecord
from streams.transport.faust.app import AppOptions
from streams.transport.faust.worker_app import WorkerApp
from streams.transport.memory import faust_transport
from streams.transport.memory.broker import Faults, broker, forget
from tests import factories
from tests.consumers.default_measures import default_measures
from tests.service import Service, make_service

SCHEDULES = int(os.environ.get("MILLRACE_SERVICE_SCHEDULES", "80"))
RUNS = ("few numbers", "default numbers")
PATIENCE = 240.0  # of a busy machine
POINTS = (
    "decode",
    "compute",
    "select",
    "send",
    "confirmation",
    "changelog send",
    "changelog confirmation",
    "commit",
    "snapshot part",
    "manifest",
)


class Crash(Exception):
    """A worker process dies here, whatever it is doing."""


class Chance(Faults):
    """What goes wrong in one schedule; nothing more once it is ``calm``."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm = False
        self.silent: set[str] = set()
        self.crashed_at: Counter[str] = Counter()
        self.point = POINTS[seed % len(POINTS)]

    def happens(self, probability: float) -> bool:
        return not self.calm and self.random.random() < probability

    def crashes(self, point: str) -> bool:
        """Tell whether a worker dies at this point now: the schedule's own one most often."""
        if self.happens(0.1 if point == self.point else 0.002):
            self.crashed_at[point] += 1
            return True
        return False

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        if self.crashes(_point(topic, key, "send")):
            raise BrokerError("the send failed")

    def confirm(self, record: StoredRecord) -> float:
        if self.crashes(_point(record.topic, record.key, "confirmation")):
            raise BrokerError("stored, but reported as failed")
        if self.happens(0.002):
            return math.inf
        return self.random.choice((0.0, 0.0, 0.001, 0.01))

    def fetch(self, records: list[StoredRecord]) -> list[StoredRecord]:
        if self.happens(0.05):
            return []
        if self.happens(0.1):
            return sorted([*records, *records[-3:]], key=lambda record: record.offset)
        if self.happens(0.1):
            return records[self.random.randrange(len(records)) :]
        return records

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> bool:
        return not self.crashes("commit")

    def heartbeat(self, group: str, member: str) -> bool:
        return self.calm or member not in self.silent


def _point(topic: str, key: bytes | None, kind: str) -> str:
    if topic.endswith("-changelog"):
        return f"changelog {kind}"
    if topic == "snapshots":
        return "snapshot part" if (key or b"").count(b"/") == 2 else "manifest"
    return kind


class FragileWorker(ActivationWorker):
    """A worker that may die before it decodes a record, and before it selects from one."""

    chance: Chance

    def compute(self, partition: int, value: bytes | None, headers: Mapping[str, bytes]) -> Any:
        if self.chance.crashes("decode"):
            raise Crash("decode")
        return super().compute(partition, value, headers)

    def select(self, computed: Computed) -> Outcome:
        if self.chance.crashes("select"):
            raise Crash("select")
        return super().select(computed)


class FragileEngine(factories.DenseEngine):
    """An engine in which a worker may die."""

    def compute(self, batch: TokenBatch, valid: Any) -> Activations:
        if chances[self.plan.run.name].crashes("compute"):
            raise Crash("compute")
        return super().compute(batch, valid)


chances: dict[str, Chance] = {}


@functools.cache
def scene(run: str) -> tuple[str, list[int]]:
    """Return the oracle's content for the batches of every schedule of a run, and what is kept.

    That is, batch by batch, a hash of every activation of every cluster. run: of ``RUNS``.
    """
    name = f"scene-{RUNS.index(run)}"
    with tempfile.TemporaryDirectory() as store:
        made = make_service(f"memory://{name}", Path(store), name, **settings(run))
        plan, kept = made.plan, []
        for batch in sorted(made.batches, key=lambda each: (each.partition, each.sequence)):
            valid = valid_tokens(plan, batch)
            activations = made.engine.compute(batch, valid)
            tokens = cluster_activity(plan, batch, valid, activations).tokens
            kept.append(hash(encoded(kept_table(batch, tokens))))
        return made.expected(), kept


@functools.cache
def settings(run: str) -> dict[str, Any]:
    """Return what ``make_service`` wants for a run of ``RUNS``; each has several buckets."""
    given = factories.batches(partitions=2, per_partition=MERGED + 1, rows=3)
    batches = factories.with_domains(given)
    common = {"partitions": 2, "shards": 2, "batches": batches, "keep": ACTIVATIONS}
    if run == "few numbers":
        return {**common, "bucket_bytes": 3000}
    return {**common, "bucket_bytes": 150_000, **default_measures(clusters=14, k=3)}


class Schedule:
    """One seeded run of the service, from the first worker to the final snapshot."""

    def __init__(self, run: str, seed: int, store: Path) -> None:
        self.name = f"schedule-{RUNS.index(run)}-{seed}"
        self.chance = chances[self.name] = Chance(seed)
        self.service: Service = make_service(
            f"memory://{self.name}", store, self.name, **settings(run)
        )
        broker(self.name).faults = self.chance
        self.apps: list[WorkerApp] = []
        self.starts: dict[WorkerApp, asyncio.Task[Any]] = {}

    def _worker(self) -> ActivationWorker:
        worker = FragileWorker(self.service.plan, FragileEngine(self.service.plan))
        worker.chance = self.chance
        return worker

    async def _start(self, side: str) -> None:
        # Without faults nothing is to be found out by a session that ends: a busy machine ends it.
        options = AppOptions(
            session=10.0 if self.chance.calm else 0.15,
            heartbeat=0.03,
            rebalance=1.0,
            commit_interval=0.03,
            leave=lambda status: None,
        )
        plan, url = self.service.plan, self.service.broker
        if side == "activations":
            app = activations_app(plan, self._worker, url, options, Progress())
        else:
            app = aggregates_app(plan, url, options, Progress())
        app.side = side  # type: ignore[attr-defined]
        self.apps.append(app)
        # Not awaited: a start waits for its group, and that for members that are to be replaced.
        self.starts[app] = asyncio.ensure_future(app.start())

    async def _kill(self, app: WorkerApp) -> None:
        self.apps.remove(app)
        await faust_transport.kill(app)
        start = self.starts.pop(app)
        start.cancel()
        await asyncio.wait({start})

    async def _replace(self, app: WorkerApp, side: str) -> None:
        await self._kill(app)
        await self._start(side)

    async def _disturb(self) -> None:
        """Replace what died; then kill one, add one, make one a zombie, or leave them alone."""
        for app in [app for app in self.apps if app.failure is not None or app.crashed]:
            await self._replace(app, app.side)  # type: ignore[attr-defined]
        if self.chance.calm:
            return
        victim = self.chance.random.choice(self.apps)
        side = victim.side  # type: ignore[attr-defined]
        what = self.chance.random.choice(("kill", "add", "zombie", "nothing", "nothing"))
        if what == "kill":
            await self._replace(victim, side)
        elif what == "add" and sum(app.side == side for app in self.apps) < 4:  # type: ignore[attr-defined]
            await self._start(side)
        elif what == "zombie" and self.starts[victim].done():
            self.chance.silent = {victim.consumer.member}  # type: ignore[attr-defined]

    async def run(self) -> RunManifest:
        """Return the final snapshot's manifest."""
        for side in ("activations", "aggregates"):
            for _ in range(self.chance.random.choice((1, 1, 2))):
                await self._start(side)
        for _ in range(self.chance.random.randrange(2, 5)):
            await asyncio.sleep(self.chance.random.random() * 0.2)
            await self._disturb()
        self.chance.calm = True
        async with asyncio.timeout(PATIENCE):
            return await self._finish()

    async def _finish(self) -> RunManifest:
        """Begin once more with one healthy worker of each side, and wait for the end."""
        for app in list(self.apps):
            await self._kill(app)
        for side in ("activations", "aggregates"):
            await self._start(side)
        while (manifest := final_manifest(self.service.client, self.service.plan)) is None:
            await asyncio.sleep(0.02)
            await self._disturb()
        for app in list(self.apps):
            await self._kill(app)
        return manifest


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_the_final_snapshot_is_exact_whatever_happens(seed: int, tmp_path: Path) -> None:
    assert_exact("few numbers", seed, tmp_path)


@pytest.mark.parametrize("seed", range(math.ceil(SCHEDULES / 12)))
def test_so_it_is_with_all_that_a_run_has_by_default(seed: int, tmp_path: Path) -> None:
    assert_exact("default numbers", seed, tmp_path)


def assert_exact(run: str, seed: int, store: Path) -> None:
    """Go through a schedule and compare the final snapshot and the kept activations."""
    expected, kept = scene(run)
    schedule = Schedule(run, seed, store)
    try:
        manifest = asyncio.run(schedule.run())
    finally:
        forget(schedule.name)
        del chances[schedule.name]
    assert manifest.final
    assert manifest.content == expected
    found = kept_activations(manifest)
    assert [hash(encoded(each.select(SCHEMA.names))) for each in found.batches()] == kept
    for partition, last in enumerate(found.chain):
        assert last == MERGED
        assert (store / manifest.run / merged_path(manifest.run_id, partition, 0)).is_file()
