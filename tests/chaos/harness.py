"""Starts the workers of a run as processes, hurts them and the broker, and watches them recover."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from consumers.activations.standin import StandInEngine
from consumers.oracle.oracle_run import oracle_tables, topic_batches
from consumers.plan import Plan
from consumers.snapshots.snapshots import final_manifest
from millrace.local_kafka import NativeKafka
from streams import topics
from streams.deadletters import read_dead_letters
from streams.errors import BrokerError
from streams.snapshots.content import content_hash
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table
from streams.transport.client import Client
from streams.transport.connect import connect
from tests.chaos.corpus import Written
from tests.published import WORDS

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Worker:
    """One worker's place: the process in it is replaced when it ends."""

    side: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    paused_until: float = 0.0

    def start(self) -> None:
        """Start a process in this place."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        self.starts += 1

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def resident(self) -> int:
        """Return the process's resident bytes, 0 if it does not live."""
        try:
            statm = Path(f"/proc/{self.process.pid if self.process else 0}/statm").read_text()
        except OSError:
            return 0
        return int(statm.split()[1]) * PAGE


@dataclass
class Chaos:
    """A run under faults. ``faults`` counts what was done, ``notes`` what was seen."""

    broker: NativeKafka
    plan: Plan
    chance: random.Random
    workers: list[Worker] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    visitors: list[tuple[float, Worker]] = field(default_factory=list)
    left: list[Worker] = field(default_factory=list)

    def hire(self, side: str, number: int, latency: float = 0.0) -> None:
        """Start workers of a side."""
        folder = Path(tempfile.mkdtemp(prefix="millrace-chaos-"))
        for _ in range(number):
            self.workers.append(self._worker(side, folder, latency))
            self.workers[-1].start()

    def _worker(self, side: str, folder: Path, latency: float) -> Worker:
        command = [sys.executable, "-m", "tests.chaos.worker", side, "--broker", self.broker.url]
        command += ["--run", self.plan.run.name, "--latency", str(latency)]
        return Worker(side, command, folder / f"{side}-{len(self.workers)}.log")

    def tend(self) -> None:
        """Do what a process manager does, and wake what was paused long enough."""
        now = time.monotonic()
        for worker in self.workers:
            if worker.paused_until and now > worker.paused_until:
                worker.signal(signal.SIGCONT)
                worker.paused_until = 0.0
            if worker.process is not None and worker.process.poll() is not None:
                worker.start()
        for leaves, worker in list(self.visitors):
            if now > leaves:
                worker.signal(signal.SIGTERM)
                self.visitors.remove((leaves, worker))
                self.left.append(worker)

    def fault(self, kind: str) -> None:
        """Do something bad: kill, pause, visit (join and leave again) or broker."""
        self.faults[kind] += 1
        side, _, what = kind.partition("-")
        if kind == "broker":
            self.broker.kill()
            time.sleep(self.chance.uniform(0.5, 3.0))
            self.broker.start()
            return
        worker = self.chance.choice([w for w in self.workers if w.side == side])
        if what == "kill":
            worker.signal(signal.SIGKILL)
        elif what == "pause":
            worker.signal(signal.SIGSTOP)
            worker.paused_until = time.monotonic() + self.chance.uniform(8.0, 14.0)
        elif what == "visit":
            visitor = Worker(side, worker.command, worker.log.with_suffix(".visitor.log"))
            visitor.start()
            self.visitors.append((time.monotonic() + self.chance.uniform(3.0, 6.0), visitor))
        else:
            raise ValueError(kind)

    def dismiss(self) -> None:
        """End every process."""
        for worker in [*self.workers, *self.left, *(w for _, w in self.visitors)]:
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGKILL)
            if worker.process is not None:
                worker.process.wait()


EVERY_FAULT = (
    "activations-kill",
    "aggregates-kill",
    "activations-pause",
    "aggregates-pause",
    "aggregates-visit",
    "activations-visit",
    "broker",
)


@contextmanager
def chaos(broker: NativeKafka, plan: Plan, seed: int) -> Iterator[Chaos]:
    """Yield a run under faults; its processes are ended whatever happens."""
    made = Chaos(broker, plan, random.Random(seed))
    try:
        yield made
    finally:
        made.dismiss()


def run_until_final(
    hurt: Chaos,
    faults: tuple[str, ...],
    pause: tuple[float, float],
    patience: float,
    watch: Callable[[float], None] = lambda seconds: None,
) -> RunManifest:
    """Do the faults one after the other, then wait for the final snapshot and return it."""
    begun = time.monotonic()
    waiting = list(faults)
    due = begun + hurt.chance.uniform(*pause)
    looked = begun
    while time.monotonic() - begun < patience:
        hurt.tend()
        watch(time.monotonic() - begun)
        if waiting and time.monotonic() > due:
            hurt.fault(waiting.pop(0))
            due = time.monotonic() + hurt.chance.uniform(*pause)
        if time.monotonic() - looked > 1.0:
            looked = time.monotonic()
            manifest = _final(hurt)
            if manifest is not None:
                return manifest
        time.sleep(0.1)
    logs = {w.log.name: w.log.read_text()[-2000:] for w in hurt.workers}
    raise AssertionError(f"no final snapshot after {patience} s; faults {hurt.faults}; {logs}")


def _final(hurt: Chaos) -> RunManifest | None:
    try:
        client = connect(hurt.broker.url)
        try:
            return final_manifest(client, hurt.plan)
        finally:
            client.close()
    except BrokerError:
        return None


def assert_exact(client: Client, plan: Plan, manifest: RunManifest, written: Written) -> None:
    """Compare a final snapshot with the oracle, and what was counted with what was produced."""
    engine = StandInEngine(plan, density=0.1)
    expected = oracle_tables(plan, engine, topic_batches(client, plan), WORDS)
    assert manifest.final
    for name in expected:
        got, want = read_table(manifest, name), expected[name]
        assert got.to_pylist() == want.to_pylist(), f"table {name} differs"
    assert manifest.content == content_hash(expected, plan.forms)
    totals = read_table(manifest, "totals").to_pylist()[0]
    assert totals["batches"] == written.batches
    assert totals["refused"] == written.poison
    assert refused(client, plan) == distinct_poison(client, plan)


def refused(client: Client, plan: Plan) -> set[tuple[int, int]]:
    """Return where the records stood that the run refused, each once."""
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name
    letters = read_dead_letters(client, run=plan.run.name)
    origins = [letter.refusal.origin for letter in letters]
    return {(o.partition, o.offset) for o in origins if o.topic == corpus}


def distinct_poison(client: Client, plan: Plan) -> set[tuple[int, int]]:
    """Return where the corpus holds records that cannot be processed, doubles counted apart."""
    from consumers.selection.worker import ActivationWorker

    worker = ActivationWorker(plan, StandInEngine(plan, density=0.1))
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name
    return {
        (partition, record.offset)
        for partition in range(plan.run.partitions)
        for record in client.read(corpus, partition)
        if worker.handle(partition, record.value, dict(record.headers)).error is not None
    }
