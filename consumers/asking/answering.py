"""From the activations of texts to an answer: features ranked in total, by text and by token."""

from collections.abc import Callable, Sequence

import numpy as np

from consumers.asking.active import Active, Totals, best, totals_of
from consumers.asking.features import find_feature
from consumers.asking.rows import TextRows
from consumers.run_clusters import RunClusters
from streams.arrays import I64
from streams.asking.answer import (
    ActiveFeature,
    Answer,
    AnsweringSource,
    FeatureValues,
    TextAnswer,
    TokenFeature,
)
from streams.asking.question import Question, split_label

Shown = Callable[[Sequence[int]], list[bytes]]


def expect_features(question: Question, clusters: RunClusters) -> None:
    """Raise QuestionError for a feature that is asked for and does not exist."""
    for label in question.features:
        _component(label, clusters)


def answer(
    question: Question, rows: TextRows, clusters: RunClusters, shown: Shown, active: Active
) -> Answer:
    """Return the answer to a question.

    rows: of its texts. clusters: components of the sources that are asked. shown: the bytes that
    the ids of a row show. active: what is active in the rows, sorted. Raises QuestionError for a
    feature that does not exist.
    """
    wanted = [_component(label, clusters) for label in question.features]
    last = rows.last_counted()
    over = active.of(np.lexsort((active.token, active.text, active.component)))
    bounds = np.searchsorted(active.text, np.arange(len(rows.size) + 1))
    return Answer(
        sources=tuple(
            AnsweringSource(source.name, source.kind, source.hook, source.components)
            for source in clusters.run.sources
        ),
        by=question.by,
        totals=_strongest(totals_of(over, last), question, clusters),
        texts=tuple(
            _of_text(
                number,
                question,
                rows,
                active.of(np.arange(bounds[number], bounds[number + 1])),
                last,
                clusters,
                shown,
                wanted,
            )
            for number in range(len(rows.size))
        ),
    )


def _of_text(
    number: int,
    question: Question,
    rows: TextRows,
    active: Active,
    last: I64,
    clusters: RunClusters,
    shown: Shown,
    wanted: Sequence[int],
) -> TextAnswer:
    mine = np.flatnonzero(rows.text == number).tolist()
    ids = [rows.ids[row].tolist() for row in mine]
    counted = [bool(one) for row in mine for one in rows.counts[row]]
    return TextAnswer(
        text=question.texts[number],
        ids=tuple(token for row in ids for token in row),
        tokens=tuple(t.decode(errors="backslashreplace") for row in ids for t in shown(row)),
        counted=tuple(counted),
        rows=tuple(rows.first[mine].tolist()),
        last=int(last[number]),
        features=_strongest(totals_of(active, last), question, clusters),
        at_tokens=_at_tokens(active, len(counted), question.per_token, clusters),
        values=tuple(_values(active, component, counted, clusters) for component in wanted),
    )


def _strongest(
    totals: Totals, question: Question, clusters: RunClusters
) -> tuple[ActiveFeature, ...]:
    """Return the best features of each source, source by source."""
    source = _source_of(totals.component, clusters)
    chosen = best(source, totals.score(question.by), totals.component, question.top)
    return tuple(
        ActiveFeature(
            *_named(int(totals.component[at]), clusters),
            total=float(totals.total[at]),
            maximum=float(totals.maximum[at]),
            tokens=int(totals.tokens[at]),
            last=float(totals.last[at]),
            text=int(totals.text[at]),
            peak=int(totals.peak[at]),
        )
        for at in chosen.tolist()
    )


def _at_tokens(
    active: Active, tokens: int, k: int, clusters: RunClusters
) -> tuple[tuple[TokenFeature, ...], ...]:
    """Return the best features of each source at each token of one text, best first."""
    sources = len(clusters.run.sources)
    group = active.token * sources + _source_of(active.component, clusters)
    found: list[list[TokenFeature]] = [[] for _ in range(tokens)]
    for at in best(group, active.activation, active.component, k).tolist():
        feature = _named(int(active.component[at]), clusters)
        found[int(active.token[at])].append(TokenFeature(*feature, float(active.activation[at])))
    return tuple(map(tuple, found))


def _values(
    active: Active, component: int, counted: Sequence[bool], clusters: RunClusters
) -> FeatureValues:
    first, stop = np.searchsorted(active.component, [component, component + 1])
    at = dict(
        zip(active.token[first:stop].tolist(), active.value[first:stop].tolist(), strict=True)
    )
    values = (at.get(n, 0.0) if counts else None for n, counts in enumerate(counted))
    return FeatureValues(*_named(component, clusters), tuple(values))


def _source_of(component: I64, clusters: RunClusters) -> I64:
    found: I64 = np.searchsorted(clusters.component_first, component, side="right") - 1
    return found


def _named(component: int, clusters: RunClusters) -> tuple[str, int]:
    source, index = split_label(clusters.component_label(component))
    return source, index


def _component(label: str, clusters: RunClusters) -> int:
    """Return the global number of a feature by its label."""
    source, index = find_feature(label, clusters.run.sources)
    return int(clusters.component_first[source]) + index
