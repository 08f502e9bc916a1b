"""What a model answers: active features of texts, in total and at each token, as plain values."""

from dataclasses import dataclass

from streams.asking.question import Order


@dataclass(frozen=True, slots=True)
class AnsweringSource:
    """A source that was asked. hook: where it reads. features: how many it has."""

    name: str
    kind: str
    hook: str
    features: int


@dataclass(frozen=True, slots=True)
class ActiveFeature:
    """A feature that is active on a text, or on several.

    total: sum of its activations. maximum: the largest, at token ``peak`` of text ``text`` (the
    first such). tokens: how many it is active at. last: its activation at the last token that
    counts, of several texts the sum of these.
    """

    source: str
    index: int
    total: float
    maximum: float
    tokens: int
    last: float
    text: int
    peak: int

    @property
    def label(self) -> str:
        """The feature as ``source:index``."""
        return f"{self.source}:{self.index}"


@dataclass(frozen=True, slots=True)
class TokenFeature:
    """A feature that is active at a token, and how much."""

    source: str
    index: int
    activation: float


@dataclass(frozen=True, slots=True)
class FeatureValues:
    """Values of a feature that was asked for at each token of a text, with their sign.

    0 where it is not active, None where a token does not count.
    """

    source: str
    index: int
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """What one text does. ids, tokens, counted, at_tokens and values have an entry per token.

    tokens: what each id shows; bytes that are no whole character are written as in Python. counted:
    whether the run would count it: a BOS, say, is masked. rows: at which tokens a row begins: a
    text longer than the context is cut into several, each with a BOS of its own, as a run does.
    last: the last token that counts, -1 for none. features: the most active ones of each source,
    best first. at_tokens: the most active ones of each source at each token.
    """

    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    counted: tuple[bool, ...]
    rows: tuple[int, ...]
    last: int
    features: tuple[ActiveFeature, ...]
    at_tokens: tuple[tuple[TokenFeature, ...], ...]
    values: tuple[FeatureValues, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question. by: what features are ordered by. totals: those over all texts."""

    sources: tuple[AnsweringSource, ...]
    by: Order
    totals: tuple[ActiveFeature, ...]
    texts: tuple[TextAnswer, ...]
