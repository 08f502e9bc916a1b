"""Features of a concept: chosen on some texts, checked on others, all sources in one pass."""

from typing import TYPE_CHECKING

import numpy as np

from consumers.asking.rows import rows_of
from consumers.asking.separation import Separations, separations
from consumers.asking.text_scores import text_scores
from streams.arrays import F64, I64, Bool
from streams.asking.answer import AnsweringSource
from streams.asking.concept import (
    ConceptAnswer,
    ConceptFeature,
    ConceptQuestion,
    Separation,
)
from streams.asking.question import split_label

if TYPE_CHECKING:
    from consumers.asking.asker import Asker

MAX_TOKENS = 2**22
"""Of all texts of a concept."""


def find_features(
    asker: "Asker", question: ConceptQuestion, tokens: int = MAX_TOKENS
) -> ConceptAnswer:
    """Return the features that tell texts with a concept from those without it.

    Each text is read once, in padded batches, for all sources. Features are ranked by AUROC, then
    the mean difference, on the texts that are not held back, where Benjamini and Hochberg's
    correction is over all features; those that are listed are tried on the texts held back, where
    Bonferroni's is over the listed. tokens: of all texts, at most. Raises QuestionError for a text
    without a token and too much text, and NotFiniteError where the model computes NaN or infinity.
    """
    from scipy.stats import false_discovery_control

    texts = (*question.present, *question.absent)
    rows = rows_of(texts, asker.tokenizer, asker.setup, tokens)
    scores = text_scores(asker, rows, question.by)
    present = np.arange(len(texts)) < len(question.present)
    held = held_back(question)
    plan = asker.engine.plan
    tried = _tried(asker)
    chosen = separations(scores, plan.components, present, ~held, question.level)
    corrected = np.ones(plan.components)
    corrected[tried] = false_discovery_control(chosen.p[tried])
    source = np.searchsorted(plan.component_first, tried, side="right") - 1
    listed = _best(chosen, tried, source, question.top)
    checked = None
    if held.any():
        checked = separations(scores, plan.components, present, held, question.level)
    features = []
    for at in listed.tolist():
        again = None
        if checked is not None:
            bonferroni = np.minimum(checked.p * len(listed), 1.0)
            again = _separation(checked, bonferroni, at)
        name, index = split_label(plan.component_label(at))
        features.append(
            ConceptFeature(
                name,
                index,
                float(chosen.active_with[at]),
                float(chosen.active_without[at]),
                _separation(chosen, corrected, at),
                again,
                again is not None and again.auroc > 0.5 and again.corrected <= question.level,
            )
        )
    return ConceptAnswer(
        sources=tuple(
            AnsweringSource(each.name, each.kind, each.hook, each.components)
            for each in plan.run.sources
        ),
        by=question.by,
        level=question.level,
        texts_with=_sizes(question, len(question.present)),
        texts_without=_sizes(question, len(question.absent)),
        tried=len(tried),
        significant=int((corrected <= question.level).sum()),
        features=tuple(features),
    )


def held_back(question: ConceptQuestion) -> Bool:
    """Return which texts are held back, those with the concept first: [text], by the seed."""
    chance = np.random.default_rng(question.seed)
    sides = []
    for texts in (question.present, question.absent):
        side = np.zeros(len(texts), bool)
        side[chance.permutation(len(texts))[: question.held(len(texts))]] = True
        sides.append(side)
    return np.concatenate(sides)


def _sizes(question: ConceptQuestion, texts: int) -> tuple[int, int]:
    held = question.held(texts)
    return texts - held, held


def _tried(asker: "Asker") -> I64:
    """Return the features that the run does not leave out, by their numbers."""
    plan = asker.engine.plan
    dropped = [
        int(first) + index
        for first, source in zip(plan.component_first, plan.run.sources, strict=False)
        for index in source.dropped
    ]
    return np.setdiff1d(np.arange(plan.components), np.array(dropped, np.int64))


def _best(found: Separations, tried: I64, source: I64, k: int) -> I64:
    """Return the k best of each source, source by source."""
    keys = (tried, -found.difference[tried], -found.auroc[tried], source)
    order = np.lexsort(keys)
    rank = np.arange(len(order)) - np.searchsorted(source[order], source[order])
    return tried[order[rank < k]]


def _separation(found: Separations, corrected: F64, at: int) -> Separation:
    return Separation(
        float(found.auroc[at]),
        float(found.auroc_low[at]),
        float(found.auroc_high[at]),
        float(found.difference[at]),
        float(found.difference_low[at]),
        float(found.difference_high[at]),
        float(found.p[at]),
        float(corrected[at]),
    )
