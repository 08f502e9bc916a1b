"""What takes an activation's place: zero, a mean, a value drawn from the texts, or a number."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from consumers.asking.active import Active
from consumers.asking.rows import TextRows
from consumers.interventions.changes import Change
from consumers.interventions.requests import Ablation
from streams.arrays import F32, I64


def replacements(
    request: Ablation,
    features: Sequence[tuple[int, int]],
    rows: TextRows,
    active: Active,
    first: Sequence[int],
) -> list[Callable[[int], Change]]:
    """Return, for each feature, what gives its change in a text, by the text's number.

    rows, active: of the texts, a row each. first: the global number of each source's first feature.
    """
    chance = np.random.default_rng(request.seed)
    counts = [np.flatnonzero(counted) for counted in rows.counts]
    made: list[Callable[[int], Change]] = []
    for source, index in features:
        if request.by in ("zero", "clamp"):
            amount = request.value if request.by == "clamp" else 0.0
            made.append(partial(always, Change(source, index, "set", amount)))
            continue
        values = _values(active, first[source] + index, counts)
        if request.by == "mean":
            made.append(partial(always, Change(source, index, "set", float(values.mean()))))
            continue
        drawn = [chance.choice(values, len(ids)).astype(np.float32) for ids in rows.ids]
        made.append(partial(_drawn, source, index, drawn))
    return made


def always(change: Change, text: int) -> Change:
    """Return the change, whatever the text."""
    del text
    return change


def _drawn(source: int, index: int, drawn: Sequence[F32], text: int) -> Change:
    return Change(source, index, "set", drawn[text])


def _values(active: Active, component: int, counts: Sequence[I64]) -> F32:
    """Return a feature's values, with their sign, at all tokens that count, text by text."""
    own = active.of(np.flatnonzero(active.component == component))
    found = []
    for text, tokens in enumerate(counts):
        here = own.text == text
        values = np.zeros(int(tokens[-1]) + 1 if len(tokens) else 0, np.float32)
        values[own.token[here]] = own.value[here]
        found.append(values[tokens])
    return np.concatenate(found) if any(map(len, found)) else np.zeros(1, np.float32)
