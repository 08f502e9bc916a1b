"""One number per text and feature: its largest, mean or last activation, from padded batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from consumers.asking.active import Active
from consumers.asking.rows import MAX_TOKENS, TextRows
from streams.arrays import F64, I64
from streams.asking.concept import TextScore

if TYPE_CHECKING:
    from consumers.asking.asker import Asker


@dataclass(frozen=True, slots=True, eq=False)
class TextScores:
    """Numbers above 0, [entry], sorted by component and text; those that are absent are 0."""

    component: I64
    text: I64
    score: F64


def text_scores(asker: "Asker", rows: TextRows, by: TextScore) -> TextScores:
    """Return the numbers of all features of all sources for the texts of ``rows``.

    What is active is held for a portion of the texts at a time. Raises NotFiniteError where the
    model computes NaN or infinity.
    """
    last, tokens = rows.last_counted(), _counted_tokens(rows)
    found = []
    for first, portion in portions(rows, MAX_TOKENS):
        stop = first + len(portion.size)
        part = scores_of(asker.active(portion), last[first:stop], tokens[first:stop], by)
        found.append((part.component, part.text + first, part.score))
    component, text, score = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((text, component))
    return TextScores(component[order], text[order], score[order])


def scores_of(active: Active, last: I64, tokens: I64, by: TextScore) -> TextScores:
    """Return the numbers of sorted entries, by text and component.

    last, tokens: the last token of each text that counts, and how many do, [text]. Sums are in
    float64, in the order of the tokens.
    """
    activation = active.activation.astype(np.float64)
    if by == "last":
        at = np.flatnonzero(active.token == last[active.text])
        return TextScores(active.component[at], active.text[at], activation[at])
    changes = (np.diff(active.text, prepend=-1) != 0) | (np.diff(active.component, prepend=-1) != 0)
    starts = np.flatnonzero(changes)
    component, text = active.component[starts], active.text[starts]
    if not len(starts):
        return TextScores(component, text, activation)
    if by == "maximum":
        return TextScores(component, text, np.maximum.reduceat(activation, starts))
    return TextScores(component, text, np.add.reduceat(activation, starts) / tokens[text])


def portions(rows: TextRows, tokens: int) -> Iterator[tuple[int, TextRows]]:
    """Yield the rows of some texts at a time, up to so many tokens, and the first text's number.

    A text that has more by itself is a portion by itself.
    """
    bounds = np.searchsorted(rows.text, np.arange(len(rows.size) + 1))
    first = 0
    while first < len(rows.size):
        reached = np.cumsum(rows.size[first:])
        stop = first + max(1, int(np.searchsorted(reached, tokens, side="right")))
        own = slice(int(bounds[first]), int(bounds[stop]))
        text = rows.text[own] - first
        yield (
            first,
            TextRows(rows.ids[own], rows.counts[own], text, rows.first[own], rows.size[first:stop]),
        )
        first = stop


def _counted_tokens(rows: TextRows) -> I64:
    """Return how many tokens of each text count, [text]."""
    counts = np.array([int(each.sum()) for each in rows.counts], np.int64)
    return np.bincount(rows.text, counts, len(rows.size)).astype(np.int64)
