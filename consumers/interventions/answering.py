"""Answers to what is wanted of interventions, from a loaded model."""

from functools import partial

from consumers.asking.rows import rows_of
from consumers.interventions.changes import Change
from consumers.interventions.effects import effects
from consumers.interventions.intervener import Intervener
from consumers.interventions.replacing import always, replacements
from consumers.interventions.requests import Ablation, Steering
from consumers.interventions.strengths import strengths
from streams.asking.effects import Ablated, Steered
from streams.asking.question import Question
from streams.errors import QuestionError


def steer(intervener: Intervener, request: Steering) -> Steered:
    """Return continuations, scores and effects of all strengths; raises QuestionError."""
    source, index = intervener.feature(request.feature)
    rows = intervener.rows(request.prompts, request.at)
    scale = request.scale
    if scale is None:
        read = intervener.activations(rows, source, index)
        scale = max(float(one[row.at].max(initial=0)) for one, row in zip(read, rows, strict=True))
        if scale <= 0:
            raise QuestionError(
                f"{request.feature} is active nowhere in the prompts: say its --scale, such as its "
                "maximum activation, or ask by a snapshot"
            )
    tried = strengths(
        intervener,
        rows,
        (source, index),
        request.alphas,
        scale,
        request.tokens,
        request.temperature,
        request.seed,
    )
    changes = [Change(source, index, "add", alpha * scale) for alpha in request.alphas]
    name = (intervener.asker.setup.sources[source].name, index)
    counts = rows_of(request.prompts, intervener.asker.tokenizer, intervener.asker.setup).counts
    made = [partial(always, change) for change in changes]
    found = effects(intervener, rows, made, [name] * len(changes), counted=counts)
    best = max(tried, key=lambda one: (one.score, -abs(one.alpha)))
    return Steered(request.feature, scale, best.alpha, tuple(tried), tuple(found))


def ablate(intervener: Intervener, request: Ablation) -> Ablated:
    """Return the effect of replacing each feature's activation; raises QuestionError."""
    asker = intervener.asker
    rows = intervener.rows(request.texts, request.at)
    text_rows = rows_of(request.texts, asker.tokenizer, asker.setup)
    labels = request.features
    if not labels:
        totals = asker.ask(Question(request.texts, request.top, 0)).totals
        labels = tuple(one.label for one in totals)
    features = [intervener.feature(label) for label in labels]
    plan = asker.engine.plan
    active = asker.active(text_rows)
    firsts = plan.component_first.tolist()
    changes = replacements(request, features, text_rows, active, firsts)
    names = [(plan.run.sources[source].name, index) for source, index in features]
    # What is measured is measured at the tokens that count, wherever the change is made.
    found = effects(intervener, rows, changes, names, counted=text_rows.counts)
    return Ablated(request.by, tuple(sorted(found, key=lambda e: (-e.kl, e.source, e.index))))
