"""What changing a feature does to what comes next: KL, loss and next tokens, many at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from consumers.interventions.changes import Change, ChangedRow
from consumers.interventions.intervener import Intervener
from streams.arrays import Bool
from streams.asking.effects import Effect, Shift

_TOP = 5


def effects(
    intervener: Intervener,
    rows: Sequence[ChangedRow],
    changes: Sequence[Callable[[int], Change]],
    names: Sequence[tuple[str, int]],
    most: int | None = None,
    counted: Sequence[Bool] | None = None,
) -> list[Effect]:
    """Return the effect of each of several changes over texts.

    rows: the texts, without changes. changes: what gives the change in a text, by its number; each
    is alone in its row. names: source and index of each. most: rows of a batch. counted: which
    tokens count of each text, [token]; None for those at which changes are made. A text is read
    once without a change and once with each, all in batches.
    """
    sums = np.zeros((len(changes), 2))
    shift: list[Tensor] = []
    tokens = predicted = 0
    for number, row in enumerate(rows):
        changed = [replace(row, changes=(change(number),)) for change in changes]
        plain, *others = intervener.logits([row, *changed], most)
        counts = torch.from_numpy(row.at if counted is None else counted[number]).to(plain.device)
        after = torch.from_numpy(row.ids[1:]).to(plain.device)
        own = counts[:-1]
        base = plain.log_softmax(dim=-1)
        probability = base.exp()
        tokens += int(counts.sum())
        predicted += int(own.sum())
        for n, logits in enumerate(others):
            found = logits.log_softmax(dim=-1)
            kl = (probability * (base - found)).sum(-1)
            sums[n, 0] += float(kl[counts].sum())
            gap = (base - found)[:-1].gather(1, after[:, None])[:, 0]
            sums[n, 1] += float(gap[own].sum())
            moved = (found[-1].exp() - probability[-1]).cpu()
            if number == 0:
                shift.append(moved)
            else:
                shift[n] += moved
    return [
        Effect(
            *names[n],
            kl=float(sums[n, 0]) / max(1, tokens),
            loss=float(sums[n, 1]) / max(1, predicted),
            tokens=tokens,
            predicted=predicted,
            shifts=_shifts(shift[n] / len(rows), intervener),
        )
        for n in range(len(changes))
    ]


def _shifts(moved: Tensor, intervener: Intervener) -> tuple[Shift, ...]:
    shown = intervener.asker.tokenizer.tokens
    order = moved[: len(shown)].argsort(descending=True, stable=True)
    chosen = [*order[:_TOP].tolist(), *order.flip(0)[:_TOP].tolist()]
    return tuple(
        Shift(shown[at].decode(errors="backslashreplace"), at, float(moved[at])) for at in chosen
    )
