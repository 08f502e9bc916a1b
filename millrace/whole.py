"""All of it in one process: produce, compute, aggregate, snapshot, with a bar per stage."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.progress import Progress as Bars

from consumers.progress import Progress
from consumers.serving import Crew, serve_run
from consumers.snapshots import final_manifest
from millrace.bars import bars, say, stages
from millrace.producing import produce_corpus
from streams.catalog import find_corpus
from streams.corpus import CorpusRecord
from streams.errors import SnapshotError
from streams.plan import Plan, make_plan
from streams.run_catalog import put_run
from streams.snapshot import RunManifest
from streams.store import open_store
from streams.transport.client import Client, connect

if TYPE_CHECKING:
    from consumers.compute import TorchEngine
    from millrace.settings import Settings


def run_whole(settings: "Settings", workers: int) -> RunManifest:
    """Carry out what the settings say and return the final snapshot's manifest."""
    client = connect(settings.broker)
    begun = time.perf_counter()
    corpus = _corpus(client, settings)
    tokenised = time.perf_counter() - begun
    plan, engine = _prepared(client, settings, corpus)
    progress = Progress()
    begun = time.perf_counter()
    with bars() as shown, _drawn(shown, plan, corpus, engine, progress):
        serve_run(
            plan,
            settings.broker,
            Crew(workers, workers),
            lambda: engine,
            progress,
            until_final=True,
        )
    _report(tokenised, time.perf_counter() - begun, corpus, engine, progress)
    manifest = final_manifest(client, plan)
    if manifest is None:
        raise SnapshotError(f"run {plan.run.name} ended without its final snapshot")
    say(f"snapshot {manifest_path(manifest)}")
    say(f"content {manifest.content}")
    return manifest


def manifest_path(manifest: RunManifest) -> str:
    """Return where a run manifest lies."""
    return open_store(manifest.store).path(manifest.run, manifest.snapshot, "manifest.json")


def _corpus(client: Client, settings: "Settings") -> CorpusRecord:
    found = find_corpus(client, settings.corpus.name)
    if not settings.corpus.text and found is not None and found.sealed:
        return found
    return produce_corpus(client, settings)


def _prepared(
    client: Client, settings: "Settings", corpus: CorpusRecord
) -> tuple[Plan, "TorchEngine"]:
    """Return the plan of the run, put on the broker, and its engine."""
    say("loading the model and its dictionaries")
    from consumers.creation import create_run, load_engine

    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = create_run(settings.run_spec(), corpus, created=now)
    put_run(client, record)
    plan = make_plan(record)
    return plan, load_engine(plan, settings.model.device)


@contextmanager
def _drawn(
    shown: Bars, plan: Plan, corpus: CorpusRecord, engine: "TorchEngine", progress: Progress
) -> Iterator[None]:
    """Keep the bars of the stages up to date while the block runs."""
    ended = threading.Event()
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
            "tokenise": tokenised,
            "forward": timings.forward,
            "encode": timings.encode,
            "select": timings.select + done.select_seconds,
            "aggregate": done.apply_seconds,
            "snapshot": done.snapshot_seconds,
            "all after tokenising": computed,
        }
    )
    say(f"{corpus.tokens:,} tokens, {corpus.tokens / computed:,.0f} tokens/s")
    if done.refused:
        say(f"{done.refused} records were refused and are dead letters")
