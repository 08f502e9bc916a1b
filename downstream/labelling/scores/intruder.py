"""Intruder score: whether the one silent context among four active ones is found, label unseen.

Chang et al. 2009 for topics. By vectors: the intruder is taken to be the context that is least like
the others. By chance one in five is found.
"""

import numpy as np

from downstream.labelling.scores.held_texts import HeldTexts
from downstream.labelling.scores.score import Score, accuracy, score_form
from downstream.labelling.scores.text_vectors import Embed

NAME = "intruder"
ACTIVE = 4
CHANCE = 1 / (ACTIVE + 1)
FORM = score_form(
    NAME,
    "share of trials in which the silent context among five is found; 0.2 by chance",
    of_label=False,
)


def intruder_score(texts: HeldTexts, embed: Embed) -> Score:
    """Return the score of a cluster: a trial for each silent context, active ones taking turns."""
    vectors = embed(texts.plain)
    active = np.flatnonzero(texts.active)
    silent = np.flatnonzero(~np.array(texts.active))
    right = 0
    for trial, intruder in enumerate(silent.tolist()):
        chosen = active[(trial * ACTIVE + np.arange(ACTIVE)) % len(active)]
        # In the order of the texts, which a hash decides: it settles ties.
        five = np.sort(np.r_[chosen, intruder])
        likeness = vectors[five] @ vectors[five].T
        np.fill_diagonal(likeness, 0)
        right += int(five[np.argmin(likeness.sum(axis=1))]) == intruder
    value, low, high = accuracy(right, len(silent))
    return Score(value, low, high, len(active), len(silent), sum(texts.hard))
