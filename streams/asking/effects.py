"""What changing features does, as plain values: next tokens, losses, continuations, scores."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shift:
    """How much likelier a token becomes as the one after a text; negative for less likely."""

    token: str
    id: int
    probability: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What the change of one feature does over texts.

    kl: of the changed from the plain next-token distribution, nats, mean over tokens that count.
    loss: rise of the cross-entropy of the texts' own next tokens, nats, mean over the ``predicted``
    ones. shifts: of the token after the last one, mean over texts: the five that gain most, then
    the five that lose most.
    """

    source: str
    index: int
    kl: float
    loss: float
    tokens: int
    predicted: int
    shifts: tuple[Shift, ...]


@dataclass(frozen=True, slots=True)
class Strength:
    """A strength that was tried, and its scores, each from 0 to 1.

    concept: the feature's largest activation over a continuation, as the unchanged model reads it,
    relative to the scale, at most 1; mean over continuations. fluency: exp(plain loss - loss), at
    most 1, of the continuations' tokens under the unchanged model, against those of the plain
    continuations. score: their harmonic mean. texts: the continuations.
    """

    alpha: float
    concept: float
    fluency: float
    score: float
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Steered:
    """The answer to a steering. scale: that was taken. strengths: 0, the plain model, first.

    best: the alpha with the highest score, the smaller of equals. effects: of each alpha on what
    comes next in the prompts.
    """

    feature: str
    scale: float
    best: float
    strengths: tuple[Strength, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Ablated:
    """The answer to an ablation: the effect of each feature, the largest KL first."""

    by: str
    effects: tuple[Effect, ...]
