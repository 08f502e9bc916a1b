"""Labels made at the command line."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from downstream.derived.attach import write_derived
from downstream.labelling.answer_log import AnswerLog
from downstream.labelling.asking import Asked, Question, Questioner
from downstream.labelling.limits import Prices
from downstream.labelling.local_labels import local_labels
from downstream.labelling.model_labels import TASK, chosen_clusters, label_questions, label_tables
from downstream.reading.made_labels import KIND, LABELS, LOCAL
from downstream.reading.snapshot import Snapshot, open_snapshot
from millrace.endpoint_settings import EndpointOptions, attachment_name
from millrace.progress_bars import bars
from streams.errors import SettingsError, SnapshotError
from streams.names import check_name


def final_snapshot(address: str, run: str | None) -> Snapshot:
    """Return a finished snapshot; raises SnapshotError for another one."""
    snapshot = open_snapshot(address, run)
    if not snapshot.manifest.final:
        raise SnapshotError(f"snapshot {snapshot.name!r} is not final: attach to a final one")
    return snapshot


def now() -> str:
    """Return the time for a manifest."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def label_locally(address: str, run: str | None) -> Iterator[str]:
    """Attach labels that need no language model; yield what was done."""
    snapshot = final_snapshot(address, run)
    made = local_labels(snapshot)
    manifest = write_derived(KIND, snapshot, made, created=now(), name=LOCAL)
    yield f"{KIND}/{LOCAL}: {manifest.tables[0].rows:,} labels"
    yield from (f"  left out: {line}" for line in made.left_out)


def label_by_model(
    address: str,
    run: str | None,
    name: str | None,
    *,
    clustering: str | None,
    features: Sequence[str],
    sample: int | None,
    **values: Any,
) -> Iterator[str]:
    """Attach labels by a language model, those asked before among them; yield what was done.

    values: of ``EndpointOptions``. What was answered is attached even if asking ends early. Raises
    SettingsError, SnapshotError, or EndpointError if the service ended it.
    """
    options = EndpointOptions(**values)
    name = check_name(name or attachment_name(options.model), "attachment")
    if name == LOCAL:
        raise SettingsError(f"--name {LOCAL}: that is the name of labels without a language model")
    snapshot = final_snapshot(address, run)
    clusters = chosen_clusters(snapshot, clustering, features, sample)
    made = None
    with AnswerLog(options.log_path(snapshot, name)) as log:
        try:
            asked = ask_all(options, log, label_questions(snapshot, clusters), len(clusters), KIND)
        finally:
            if answers := log.of(TASK):
                made = label_tables(answers, options.prices)
                write_derived(KIND, snapshot, made, created=now(), name=name)
    if made is not None:
        yield f"{KIND}/{name}: {len(made.tables[LABELS]):,} labels"
        yield from (f"  left out: {line}" for line in made.left_out)
    yield from asked_lines(asked, options.prices)
    if asked.error:
        raise asked.error


def ask_all(
    options: EndpointOptions, log: AnswerLog, questions: Iterator[Question], total: int, stage: str
) -> Asked:
    """Ask questions with a bar; errors are those of ``Questioner.ask``."""
    questioner = Questioner(
        options.chat(),
        log,
        options.limiter(),
        options.budget(),
        at_once=options.at_once,
        attempts=options.attempts,
    )
    with bars() as progress:
        bar = progress.add_task(stage, total=total, unit="answers")
        progress.start()
        asked = asyncio.run(questioner.ask(questions, lambda: progress.advance(bar)))
    return asked


def asked_lines(asked: Asked, prices: Prices) -> Iterator[str]:
    """Yield what was asked, what it cost, and what failed."""
    cost = f", {asked.money:.4f} by the prices given" if prices != Prices() else ""
    yield (
        f"  asked {asked.answered:,}, known {asked.known:,}, failed {len(asked.failed):,}; "
        f"{asked.tokens:,} tokens{cost}"
    )
    yield from (f"  failed: cluster {cluster}: {why}" for cluster, why in asked.failed[:10])
    if asked.stopped and not asked.error:
        yield f"  stopped: {asked.stopped}; the same command goes on"
