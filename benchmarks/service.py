"""The whole service over a published corpus, in this process, and how long it took."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from consumers.activations.device_activations import DeviceActivations
from consumers.activations.engine import Activations
from consumers.activations.torch_engine import TorchEngine
from consumers.health.progress import Progress
from consumers.plan import make_plan
from consumers.runs.creation import prepare_run
from consumers.runs.specs import RunSpec
from consumers.service.serving import Crew, serve_run
from consumers.snapshots.snapshots import final_manifest, manifests_of
from streams.arrays import Bool
from streams.catalog.runs import delete_run, put_run
from streams.errors import SnapshotError
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.records.runs import RunRecord
from streams.snapshots.manifests import RunManifest
from streams.transport.connect import connect

_POLL = 0.02
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Served:
    """What a run of the service took.

    seconds: from the first record at the engine's door to the final manifest on the broker. whole:
    of ``serve_run`` altogether, so with the start and the stop of both apps. tail: of ``seconds``,
    from the last batch computed to the final manifest. stages: seconds of work by stage; they
    overlap, so they may add up to more than ``seconds``.
    """

    seconds: float
    whole: float
    tail: float
    stages: dict[str, float]
    manifest: RunManifest


class Clocked:
    """An engine that notes when it is first asked for anything, and when it was last done."""

    def __init__(self, engine: TorchEngine) -> None:
        self.engine = engine
        self.begun: float | None = None
        self.done = 0.0

    @property
    def selects_on_device(self) -> bool:
        """As the engine inside."""
        return self.engine.selects_on_device

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Compute, as the engine inside."""
        return self._noted(self.engine.compute, batch, valid)

    def compute_on_device(self, batch: TokenBatch, valid: Bool) -> DeviceActivations:
        """Compute, as the engine inside; the device may be at work still."""
        return self._noted(self.engine.compute_on_device, batch, valid)

    def _noted(self, compute: Callable[[TokenBatch, Bool], T], batch: TokenBatch, valid: Bool) -> T:
        if self.begun is None:
            self.begun = time.perf_counter()
        found = compute(batch, valid)
        self.done = time.perf_counter()
        return found


@dataclass(slots=True)
class Watcher:
    """Notes when a run's final manifest can be read from the broker, to within 0.02 s."""

    broker: str
    engine: TorchEngine
    progress: Progress
    seen: float | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look until the manifest is there or the run has ended."""
        client, manifests = connect(self.broker), manifests_of(self.engine.plan.run.name)
        final_manifest(client, self.engine.plan, manifests)  # so that its connections are there
        looked = 0
        while not self._ended.wait(_POLL):
            # Looking must cost next to nothing, so only what was written since is a reason to.
            written = self.progress.done.parts
            if written <= max(looked, self.engine.plan.run.shards):
                continue
            if final_manifest(client, self.engine.plan, manifests) is not None:
                self.seen = time.perf_counter()
                break
            looked = written
        client.close()

    def stop(self) -> None:
        """Look no longer."""
        self._ended.set()


def prepared(spec: RunSpec, corpus: CorpusRecord) -> TorchEngine:
    """Return the engine of a run, loaded as the service loads it."""
    return prepare_run(spec, corpus)


def serve_whole(
    loaded: TorchEngine,
    broker: str,
    name: str,
    store: Path,
    beside: Callable[[RunRecord], AbstractContextManager[None]] | None = None,
) -> Served:
    """Run one worker of each kind over a loaded engine's corpus until the final manifest is there.

    name: of the run, which is deleted again; its files stay in ``store``. beside: starts
    aggregators elsewhere, in place of the one here. Raises SnapshotError if the run ends without a
    final snapshot, and whatever ends a worker.
    """
    run = replace(loaded.plan.run, name=name, store=str(store))
    engine = TorchEngine(
        make_plan(run),
        loaded.model,
        loaded.sources,
        loaded.on_device,
        loaded.selects_on_device,
    )
    clocked, progress = Clocked(engine), Progress()
    watcher = Watcher(broker, engine, progress)
    client = connect(broker)
    put_run(client, run)
    thread = threading.Thread(target=watcher.watch, daemon=True)
    thread.start()
    begun = time.perf_counter()
    try:
        crew = Crew(1, 1) if beside is None else Crew(activations=1)
        with nullcontext() if beside is None else beside(run):
            begun = time.perf_counter()
            serve_run(engine.plan, broker, crew, lambda: clocked, progress, until_final=True)
            whole = time.perf_counter() - begun
    finally:
        watcher.stop()
        thread.join()
    manifest = final_manifest(client, engine.plan)
    if manifest is None or clocked.begun is None:
        raise SnapshotError(f"run {name} ended without its final snapshot")
    ended = watcher.seen or begun + whole
    delete_run(client, run.name)
    client.close()
    seconds, tail = ended - clocked.begun, ended - clocked.done
    return Served(seconds, whole, tail, _stages(engine, progress), manifest)


def _stages(engine: TorchEngine, progress: Progress) -> dict[str, float]:
    timings, done = engine.timings, progress.done
    return {
        "forward": timings.forward,
        "encode": timings.encode,
        "scan": timings.select,
        "select": done.select_seconds,
        "aggregate": done.apply_seconds,
        "flush": done.flush_seconds,
        "snapshot": done.snapshot_seconds,
    }
