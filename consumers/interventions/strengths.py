"""The best strength of steering: as much of the concept as the model stays fluent with."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from consumers.interventions.changes import Change, ChangedRow
from consumers.interventions.generating import continuations
from consumers.interventions.intervener import Intervener
from streams.asking.effects import Strength


def strengths(
    intervener: Intervener,
    rows: Sequence[ChangedRow],
    feature: tuple[int, int],
    alphas: Sequence[float],
    scale: float,
    tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Strength]:
    """Return the scores of each strength over prompts, in their order.

    alpha times ``scale`` times the decoder direction is added. All strengths and prompts, and the
    plain ones, are continued in one batch.
    """
    source, index = feature
    wanted = [0.0, *alphas]
    changed = [
        replace(row, changes=(Change(source, index, "add", alpha * scale),) if alpha else ())
        for alpha in wanted
        for row in rows
    ]
    grown = continuations(intervener, changed, tokens, temperature, seed)
    plain = [replace(row, changes=()) for row in grown]
    starts = [len(row.ids) for _ in wanted for row in rows]
    read = intervener.activations(plain, source, index)
    peaks = [max(0.0, float(one[first:].max())) for one, first in zip(read, starts, strict=True)]
    losses = _losses(intervener, plain, starts)
    shown = [_text(intervener, row, first) for row, first in zip(grown, starts, strict=True)]
    per = len(rows)
    fluent = float(np.mean(losses[:per]))
    found = []
    for n, alpha in enumerate(wanted):
        part = slice(n * per, (n + 1) * per)
        concept = float(np.mean(np.minimum(1.0, np.asarray(peaks[part]) / scale)))
        fluency = float(min(1.0, np.exp(fluent - np.mean(losses[part]))))
        together = concept + fluency
        score = 2 * concept * fluency / together if together else 0.0
        found.append(Strength(alpha, concept, fluency, score, tuple(shown[part])))
    return found


def _losses(
    intervener: Intervener, rows: Sequence[ChangedRow], starts: Sequence[int]
) -> list[float]:
    """Return the mean cross-entropy of each row's tokens from a start on, nats."""
    found = []
    for row, first, logits in zip(rows, starts, intervener.logits(rows), strict=True):
        spoken = logits[first - 1 : -1].log_softmax(-1).cpu()
        own = np.asarray(row.ids[first:], np.int64)
        found.append(-float(spoken[np.arange(len(own)), own].mean()))
    return found


def _text(intervener: Intervener, row: ChangedRow, first: int) -> str:
    shown = intervener.asker.tokenizer.texts.shown(row.ids.tolist())
    return b"".join(shown[first:]).decode(errors="replace")
