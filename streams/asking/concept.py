"""A concept as texts with it and without it, and which features tell the two apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from annotated_types import Interval, MaxLen

from streams import bounds
from streams.asking.answer import AnsweringSource
from streams.asking.question import MAX_TEXTS, OneText
from streams.errors import QuestionError, ShapeError

TextScore = Literal["maximum", "mean", "last"]
TEXT_SCORES: tuple[TextScore, ...] = get_args(TextScore)

LEAST = 2
"""Texts of a side that can be compared: one alone has no variance."""


@dataclass(frozen=True, slots=True)
class ConceptQuestion:
    """Texts with a concept and without it, and how features are tried on them.

    by: what a feature's number is for a text: its largest activation, the mean over the tokens that
    count, or that at the last of them. held_back: share of each side that does not choose features
    and checks those that were chosen; 0 for none. level: error rate that is allowed, of which
    intervals have the rest as confidence. top: features listed of each source. seed: of the split.
    """

    present: Annotated[tuple[OneText, ...], MaxLen(MAX_TEXTS)]
    absent: Annotated[tuple[OneText, ...], MaxLen(MAX_TEXTS)]
    by: TextScore = "maximum"
    held_back: Annotated[float, Interval(ge=0, le=0.9)] = 0.5
    level: Annotated[float, Interval(gt=0, lt=0.5)] = 0.05
    top: Annotated[int, Interval(ge=1, le=10_000)] = 20
    seed: Annotated[int, Interval(ge=0, le=2**63)] = 0
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if self.by not in TEXT_SCORES:
            raise QuestionError(f"by: {bounds.shown(self.by)} is none of {', '.join(TEXT_SCORES)}")
        try:
            bounds.check_fields(self)
        except ShapeError as error:
            raise QuestionError(str(error).replace("ConceptQuestion.", "")) from error
        for side, texts in (("with", self.present), ("without", self.absent)):
            if (number := next((n for n, t in enumerate(texts) if not t), None)) is not None:
                raise QuestionError(f"text {number + 1} {side} the concept is empty")
            held = self.held(len(texts))
            if len(texts) - held < LEAST or (self.held_back and held < LEAST):
                raise QuestionError(
                    f"{len(texts)} texts {side} the concept, {held} of them held back: each part "
                    f"needs {LEAST}"
                )

    def held(self, texts: int) -> int:
        """Return how many of so many texts are held back."""
        return int(texts * self.held_back)


@dataclass(frozen=True, slots=True)
class Separation:
    """How far a feature tells texts with the concept from those without.

    auroc: probability that a text with the concept has the larger number, ties counting half.
    difference: mean with minus mean without, in units of activation. low, high: ends of the
    confidence intervals. p: of equal distributions, two-sided. corrected: p, corrected for how many
    features were tried.
    """

    auroc: float
    auroc_low: float
    auroc_high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    corrected: float


@dataclass(frozen=True, slots=True)
class ConceptFeature:
    """A feature, on the texts that chose it and on those held back (None without such).

    active_with, active_without: shares of the texts that chose it on which it is active. confirmed:
    on the texts held back, too, it is larger with the concept, and ``corrected`` within the level.
    """

    source: str
    index: int
    active_with: float
    active_without: float
    chosen: Separation
    held_back: Separation | None
    confirmed: bool

    @property
    def label(self) -> str:
        """The feature as ``source:index``."""
        return f"{self.source}:{self.index}"


@dataclass(frozen=True, slots=True)
class ConceptAnswer:
    """Features by source, the largest AUROC first.

    tried: features of all sources, over which ``chosen.corrected`` is corrected. significant: how
    many of them are within the level there, by themselves in either direction. texts_with,
    texts_without: that chose, and that were held back.
    """

    sources: tuple[AnsweringSource, ...]
    by: TextScore
    level: float
    texts_with: tuple[int, int]
    texts_without: tuple[int, int]
    tried: int
    significant: int
    features: tuple[ConceptFeature, ...]
