"""Embedding score: how well the likeness of a context to the label tells active from silent ones.

AUROC of the cosine between the vectors of label and context (Paulo and Belrose 2025, "Evaluating
SAE interpretability without explanations"; delphi's embedding scorer).
"""

from collections.abc import Callable

import numpy as np

from downstream.labelling.scores.held_texts import HeldTexts
from downstream.labelling.scores.score import LEVEL, Score, score_form
from downstream.labelling.scores.text_vectors import Embed
from streams.arrays import F64

NAME = "embedding"
FORM = score_form(
    NAME, "AUROC of the cosine between label and context, active against silent contexts"
)
Interval = Callable[[F64, int, int, float], tuple[F64, F64]]
"""Returns the ends of the interval of AUROCs from so many texts of both sides, at a level."""


def embedding_score(
    texts: HeldTexts, label: str, other: str | None, embed: Embed, interval: Interval
) -> Score:
    """Return the score of a label. other: another cluster's, as baseline; None for none."""
    labels = [label] if other is None else [label, other]
    vectors = embed([*labels, *texts.plain])
    cosines = vectors[: len(labels)] @ vectors[len(labels) :].T
    active = np.array(texts.active)
    n1, n0 = int(active.sum()), int((~active).sum())
    found = [_auroc(row[active], row[~active]) for row in cosines.astype(np.float64)]
    low, high = interval(np.array(found[:1]), n1, n0, LEVEL)
    shuffled = found[1] if len(found) > 1 else float("nan")
    return Score(found[0], float(low[0]), float(high[0]), n1, n0, sum(texts.hard), shuffled)


def _auroc(above: F64, below: F64) -> float:
    """Return the share of pairs in which the first is larger, ties counted as half."""
    larger = (above[:, None] > below[None, :]).mean()
    equal = (above[:, None] == below[None, :]).mean()
    return float(larger + equal / 2)
