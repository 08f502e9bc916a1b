"""The counter on the embedded broker, under faults that come by a seeded chance."""

import asyncio
import math
import random
from collections.abc import Mapping

import pytest

from streams.errors import BrokerError
from streams.transport.client import StoredRecord
from streams.transport.connect import connect
from streams.transport.faust.app import AppOptions
from streams.transport.faust.worker_app import WorkerApp
from streams.transport.memory import faust_transport
from streams.transport.memory.broker import Faults, broker, forget
from tests.integration.counting import (
    Names,
    counting_app,
    create_topics,
    expected,
    is_done,
    publish,
    totals,
)

SHARDS = 3
NUMBERS = range(3000)
PATIENCE = 90.0


class Chance(Faults):
    """Everything that may go wrong does so now and then, until ``calm``."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm = False
        self.silent: set[str] = set()

    def happens(self, probability: float) -> bool:
        return not self.calm and self.random.random() < probability

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        if topic.endswith("-changelog") and self.happens(0.002):
            raise BrokerError("the send failed")

    def confirm(self, record: StoredRecord) -> float:
        if self.happens(0.001):
            raise BrokerError("stored, but reported as failed")
        if self.happens(0.001):
            return math.inf
        return self.random.choice((0.0, 0.0, 0.002, 0.02))

    def fetch(self, records: list[StoredRecord]) -> list[StoredRecord]:
        if self.happens(0.05):
            return []
        if self.happens(0.1):
            return sorted([*records, *records[-3:]], key=lambda record: record.offset)
        if self.happens(0.1):
            return records[self.random.randrange(len(records)) :]
        return records

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> bool:
        return not self.happens(0.2)

    def heartbeat(self, group: str, member: str) -> bool:
        return self.calm or member not in self.silent


@pytest.mark.parametrize("seed", range(4))
def test_counts_stay_exact_whatever_happens(seed: int, prefix: str) -> None:
    names, url = Names(prefix), f"memory://{prefix}"
    client = connect(url)
    create_topics(client, names, SHARDS)
    faults = broker(prefix).faults = Chance(seed)
    chance = random.Random(seed + 1000)

    async def start() -> WorkerApp:
        options = AppOptions(
            session=0.6, heartbeat=0.1, commit_interval=0.05, leave=lambda status: None
        )
        app, _ = counting_app(url, names, SHARDS, options, records=16)
        await app.start()
        return app

    async def disturb(apps: list[WorkerApp]) -> None:
        """Replace what died; then kill one, stop one, add one or make one a zombie."""
        for app in [app for app in apps if app.failure is not None or app.crashed]:
            apps.remove(app)
            await faust_transport.kill(app)
        what = chance.choice(("kill", "stop", "add", "zombie", "nothing"))
        victim = chance.choice(apps) if apps else None
        if victim is None or (what == "add" and len(apps) < 3):
            apps.append(await start())
        elif what == "zombie":
            faults.silent = {victim.consumer.member}  # type: ignore[attr-defined]
        elif what in ("kill", "stop"):
            apps.remove(victim)
            await (faust_transport.kill(victim) if what == "kill" else stop(victim))
            apps.append(await start())

    async def stop(app: WorkerApp) -> None:
        """Stop cleanly; one that waits for a confirmation that never comes is killed."""
        stopping = asyncio.ensure_future(app.stop())
        await asyncio.wait({stopping}, timeout=3.0)
        if not stopping.done():
            await faust_transport.kill(app)
            await stopping

    async def work() -> None:
        apps = [await start()]
        for at in range(0, len(NUMBERS), 200):
            publish(client, names, SHARDS, NUMBERS[at : at + 200])
            await asyncio.sleep(chance.random() * 0.4)
            await disturb(apps)
        faults.calm = True
        async with asyncio.timeout(PATIENCE):
            while not is_done(client, names):
                # Any of them may wait for a confirmation that never comes.
                for app in apps:
                    await faust_transport.kill(app)
                apps = [await start()]
                for _ in range(30):
                    await asyncio.sleep(0.1)
                    if is_done(client, names):
                        break
        for app in apps:
            await faust_transport.kill(app)

    asyncio.run(work())
    assert totals(client, names) == expected(SHARDS, NUMBERS)
    forget(prefix)
