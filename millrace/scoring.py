"""Scores made at the command line: which labels, which scores, and what is said of them."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from downstream.derived.attach import write_derived
from downstream.derived.derivation import Derived
from downstream.labelling.answer_log import AnswerLog
from downstream.labelling.asking import Asked, Question
from downstream.labelling.contexts import choose_contexts
from downstream.labelling.held_out import RULE
from downstream.labelling.model_labels import chosen_clusters, cluster_numbered
from downstream.labelling.scores import embedding, intruder
from downstream.labelling.scores.held_texts import LEAST, HeldTexts, held_texts
from downstream.labelling.scores.judged import FORMS, judged_scores, judging
from downstream.labelling.scores.score import LEVEL, Score, score_table
from downstream.labelling.scores.text_vectors import NAME as WORDS
from downstream.labelling.scores.text_vectors import Embed, word_vectors
from downstream.reading.made_labels import KIND, LOCAL, MadeLabels, read_made_labels
from downstream.reading.silent import RANKING as SHARED
from downstream.reading.snapshot import Snapshot
from millrace.endpoint_settings import EndpointOptions
from millrace.labelling import ask_all, asked_lines, final_snapshot, now
from millrace.progress_bars import bars, spinner
from streams.errors import SettingsError, SnapshotError
from streams.snapshots.attachments import DEFAULT
from streams.snapshots.tables import TableForm

_BY_VECTORS = (intruder.NAME, embedding.NAME)


def score_clusters(
    address: str,
    run: str | None,
    *,
    scorers: Sequence[str],
    labels: str | None,
    sentence_model: Path | None,
    baseline: int,
    clustering: str | None,
    features: Sequence[str],
    sample: int | None,
    **values: Any,
) -> Iterator[str]:
    """Attach scores to a finished snapshot; yield what was done.

    values: of ``EndpointOptions``. Raises SettingsError, SnapshotError, ModelError, or
    EndpointError if the service ended it; what was scored until then is attached.
    """
    asks = values["endpoint"] is not None
    chosen = tuple(scorers) or (*_BY_VECTORS, *(FORMS if asks else ()))
    if not asks and (judged := [one for one in chosen if one in FORMS]):
        raise SettingsError(f"--scorer {judged[0]} needs --endpoint and --model")
    if asks and not values["model"]:
        raise SettingsError("--endpoint needs --model")
    snapshot = final_snapshot(address, run)
    if SHARED not in snapshot.rankings:
        raise SnapshotError(f"scores need silent contexts: the run lacks the ranking {SHARED!r}")
    name, made = _labels(snapshot, labels, needed=set(chosen) != {intruder.NAME})
    clusters = chosen_clusters(snapshot, clustering, features, sample)
    texts = _texts(snapshot, clusters)
    yield f"{len(texts):,} of {len(clusters):,} clusters have {LEAST} held-out contexts of a kind"
    said = {cluster: one.text for cluster in texts if (one := made.of(cluster)) is not None}
    others = _others(said)
    about: dict[str, Any] = {"labels": name, "held_out": RULE, "level": LEVEL}
    if any(one in chosen for one in _BY_VECTORS):
        vectors, embed = _embed(sentence_model)
        yield f"vectors: {vectors}"
        for scorer, form, scores in _by_vectors(chosen, texts, said, others, embed):
            yield _attached(snapshot, scorer, form, name, scores, {**about, "vectors": vectors})
    tasks = [task for task in FORMS if task in chosen]
    if not tasks:
        return
    options = EndpointOptions(**values)
    questions = _questions(tasks, texts, said, others, baseline)
    asked = _ask(snapshot, options, name, questions)
    for task in tasks:
        scores = judged_scores(task, asked.answers)
        more = {**about, "judge": options.model}
        yield _attached(snapshot, task, FORMS[task], name, scores, more)
        if unread := sum(key[0] == task for key in asked.answers) - len(scores):
            yield f"  left out: {unread:,} answers that name no contexts"
    yield from asked_lines(asked, options.prices)
    if asked.error:
        raise asked.error


def _labels(snapshot: Snapshot, labels: str | None, *, needed: bool) -> tuple[str, MadeLabels]:
    """Return the name and labels of an attachment, by default the newest of a language model."""
    found = [one for one in snapshot.attachments if one.kind == KIND]
    found.sort(key=lambda one: (one.name != LOCAL, one.created))
    if labels is not None:
        found = [one for one in found if one.name == labels]
    if not found and (needed or labels is not None):
        raise SnapshotError(
            f"there are no labels{f' {labels!r}' if labels else ''}: make some with millrace label"
        )
    ours = found[-1:]
    name = ours[0].name if ours else DEFAULT
    return name, read_made_labels(ours, len(snapshot.clusters))


def _texts(snapshot: Snapshot, clusters: Sequence[int]) -> dict[int, HeldTexts]:
    """Return the held-out contexts of the clusters that have enough of them."""
    found = {}
    with bars() as progress:
        bar = progress.add_task("contexts", total=len(clusters), unit="clusters")
        progress.start()
        for number in clusters:
            contexts = choose_contexts(cluster_numbered(snapshot, number), snapshot.rankings)
            if (texts := held_texts(contexts)).enough:
                found[number] = texts
            progress.advance(bar)
    return found


def _others(said: Mapping[int, str]) -> dict[int, str]:
    """Return for each cluster the label of another one, the next that differs, round about."""
    labels = list(said.values())
    found: list[str | None] = [None] * len(labels)
    other = None
    for at in reversed(range(2 * len(labels))):  # twice: the last one goes on with the first
        here, after = labels[at % len(labels)], labels[(at + 1) % len(labels)]
        other = after if after != here else other
        found[at % len(labels)] = other
    return {cluster: one for cluster, one in zip(said, found, strict=True) if one is not None}


def _embed(folder: Path | None) -> tuple[str, Embed]:
    """Return the name of what makes vectors, and it; raises ModelError."""
    from consumers.sentences.sentence_model import find_sentence_model, load_sentence_model

    folder = folder or find_sentence_model()
    if folder is None:
        return WORDS, word_vectors
    with spinner("loading the sentence model"):
        model = load_sentence_model(folder)
    return model.name, model.embed


def _by_vectors(
    chosen: Sequence[str],
    texts: Mapping[int, HeldTexts],
    said: Mapping[int, str],
    others: Mapping[int, str],
    embed: Embed,
) -> Iterator[tuple[str, TableForm, dict[int, Score]]]:
    from consumers.asking.separation import auroc_interval

    if intruder.NAME in chosen:
        found = {cluster: intruder.intruder_score(one, embed) for cluster, one in texts.items()}
        yield intruder.NAME, intruder.FORM, found
    if embedding.NAME in chosen:
        found = {
            cluster: embedding.embedding_score(
                texts[cluster], label, others.get(cluster), embed, auroc_interval
            )
            for cluster, label in said.items()
        }
        yield embedding.NAME, embedding.FORM, found


def _questions(
    tasks: Sequence[str],
    texts: Mapping[int, HeldTexts],
    said: Mapping[int, str],
    others: Mapping[int, str],
    baseline: int,
) -> list[Question]:
    found = [
        judging(task, cluster, label, texts[cluster])
        for cluster, label in said.items()
        for task in tasks
    ]
    found += [
        judging(task, cluster, others[cluster], texts[cluster], shuffled=True)
        for cluster in list(others)[:baseline]
        for task in tasks
    ]
    return found


def _ask(
    snapshot: Snapshot, options: EndpointOptions, name: str, questions: Sequence[Question]
) -> Asked:
    with AnswerLog(options.log_path(snapshot, f"{name}-scores")) as log:
        return ask_all(options, log, iter(questions), len(questions), "scores")


def _attached(
    snapshot: Snapshot,
    kind: str,
    form: TableForm,
    name: str,
    scores: Mapping[int, Score],
    about: Mapping[str, Any],
) -> str:
    """Write the scores of a kind; return a line about them."""
    values = [one.value for one in scores.values()]
    shuffled = [one.shuffled for one in scores.values() if isfinite(one.shuffled)]
    mean = fmean(values) if values else None
    baseline = fmean(shuffled) if shuffled else None
    made = Derived(
        {form: score_table(form, scores)}, {**about, "mean": mean, "mean_shuffled": baseline}
    )
    write_derived(kind, snapshot, made, created=now(), name=name)
    line = f"{kind}/{name}: {len(values):,} scores"
    line += f", mean {mean:.3f}" if mean is not None else ""
    return line if baseline is None else f"{line}, {baseline:.3f} with another label"
