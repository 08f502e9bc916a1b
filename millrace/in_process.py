"""The whole service in one process: produce, compute, aggregate, snapshot, a bar per stage."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress as Bars

from consumers.activations.device_status import device_status
from consumers.health.progress import Progress
from consumers.models.batch_sizes import gpus_in_driver
from consumers.plan import Plan
from consumers.runs.replacing import earlier_run, unused_name
from consumers.service.serving import Crew, serve_run
from millrace.logs import show_events
from millrace.prepared_run import prepare
from millrace.producing import dump_in, expect_writable, produce_in
from millrace.progress_bars import bars, say, shown_on_terminal, stages
from streams.catalog.runs import put_run
from streams.errors import SnapshotError
from streams.monitoring.events import DEAD_LETTER, DEVICE, PROGRESS
from streams.records.corpus import CorpusRecord
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import check_store, open_store
from streams.timeouts import expect_session
from streams.transport.client import Client
from streams.transport.connect import connect

if TYPE_CHECKING:
    from consumers.activations.torch_engine import TorchEngine
    from millrace.settings import Settings


def run_in_process(
    settings: "Settings", workers: int, *, replacing: bool = False, dump: Path | None = None
) -> RunManifest:
    """Carry out what the settings say and return the final snapshot's manifest.

    dump: where to write the corpus as well, before anything is computed. replacing: snapshots of an
    earlier run of the same name in the store stay until the new one is whole, and go then. A run
    that nobody named takes a name that the store does not have. Raises
    SnapshotFailedError if the run has failed, RunError if there are such snapshots and they are not
    to be replaced.
    """
    # Bars and the table at the end say the rest; off a terminal bars do not move.
    moving = shown_on_terminal()
    # A machine without GPUs has nothing to choose from.
    always = (DEAD_LETTER.name, *([DEVICE.name] if gpus_in_driver() else []))
    show_events(always if moving else (*always, PROGRESS.name))
    check_store(settings.store)
    client = connect(settings.access)
    expect_session(client, settings.session())
    if dump is not None:
        expect_writable(dump)
    if not replacing:
        settings = _named(client, settings)
    earlier = earlier_run(client, settings.store, settings.run_name, replacing=replacing)
    begun = time.perf_counter()
    prepared = prepare(client, settings)
    engine = prepared.engine
    loaded = time.perf_counter() - begun
    from consumers.models.devices import say_device  # imports torch, as preparing has

    say_device(engine.model.device)
    progress = Progress(device=partial(device_status, engine))
    with bars() as shown:
        begun = time.perf_counter()
        corpus = prepared.corpus
        if prepared.text is not None:
            corpus = produce_in(shown, client, prepared.text)
        if dump is not None:
            dump_in(shown, client, corpus.name, dump)
        tokenised = time.perf_counter() - begun
        plan = replace(engine.plan, run=put_run(client, engine.plan.run))
        begun = time.perf_counter()
        with _drawn(shown, plan, corpus, engine, progress):
            manifest = serve_run(
                plan,
                settings.access,
                Crew(workers, workers),
                lambda: engine,
                progress,
                until_final=True,
                session=settings.session(),
                limits=settings.worker_limits(),
            )
    _report(loaded, tokenised, time.perf_counter() - begun, corpus, engine, progress)
    if manifest is None:
        raise SnapshotError(f"run {plan.run.name} ended without its final snapshot")
    if earlier is not None:
        earlier.remove(manifest)
        say(f"replaced: {earlier.line}")
    say(f"snapshot {manifest_path(manifest)}")
    say(f"content {manifest.content}")
    return manifest


def _named(client: Client, settings: "Settings") -> "Settings":
    """Return the settings, with another name of the run if nobody chose one and it is taken."""
    usual = settings.run_name
    if settings.run.name is not None:
        return settings
    name = unused_name(client, settings.store, usual)
    if name == usual:
        return settings
    say(f"the store has a run {usual!r}: this one is {name!r} (--run NAME to choose, --replace)")
    return settings.model_copy(update={"run": replace(settings.run, name=name)})


def manifest_path(manifest: RunManifest) -> str:
    """Return where a run manifest lies."""
    return open_store(manifest.store).address_of(manifest.run, manifest.snapshot, "manifest.json")


@contextmanager
def _drawn(
    shown: Bars, plan: Plan, corpus: CorpusRecord, engine: "TorchEngine", progress: Progress
) -> Iterator[None]:
    """Keep the bars of the stages up to date while the block runs."""
    ended = threading.Event()
    shown.start()
    names = ("forward", "encode", "select", "aggregate")
    tasks = {name: shown.add_task(name, total=corpus.tokens, unit="tokens") for name in names}
    tasks["snapshot"] = shown.add_task("snapshot", total=plan.run.shards + 1, unit="parts")

    def draw() -> None:
        done = progress.done
        for name in ("forward", "encode", "select"):
            shown.update(tasks[name], completed=done.tokens)
        applied = done.tokens_applied // plan.run.shards
        shown.update(tasks["aggregate"], completed=applied)
        shown.update(tasks["snapshot"], completed=done.parts)

    def keep_drawing() -> None:
        while not ended.wait(0.2):
            draw()

    thread = threading.Thread(target=keep_drawing, daemon=True)
    thread.start()
    try:
        yield
        for task in tasks.values():
            shown.update(task, completed=shown.tasks[task].total)
    finally:
        ended.set()
        thread.join()


def _report(
    loaded: float,
    tokenised: float,
    computed: float,
    corpus: CorpusRecord,
    engine: "TorchEngine",
    progress: Progress,
) -> None:
    """Print the time that each stage took; stages overlap, so they may add up to more."""
    done, timings = progress.done, engine.timings
    stages(
        {
            "load": loaded,
            "tokenise": tokenised,
            "forward": timings.forward,
            "encode": timings.encode,
            "select": timings.select + done.select_seconds,
            "aggregate": done.apply_seconds,
            "snapshot": done.snapshot_seconds,
            "forward to snapshot": computed,
        }
    )
    say(f"{corpus.tokens:,} tokens, {corpus.tokens / computed:,.0f} tokens/s")
    if done.refused:
        say(f"{done.refused} records were refused and are dead letters")
