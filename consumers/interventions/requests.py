"""What is wanted of an intervention: steering of prompts, ablation of features over texts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from annotated_types import Interval, MaxLen

from streams import bounds
from streams.asking.question import OneText
from streams.bounds import check_fields
from streams.errors import QuestionError, ShapeError

Replacement = Literal["zero", "mean", "resample", "clamp"]
REPLACEMENTS: tuple[Replacement, ...] = get_args(Replacement)
_Number = Annotated[float, Interval(gt=-1e6, lt=1e6)]
_Texts = Annotated[tuple[OneText, ...], MaxLen(256)]
_STRICT: Mapping[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Steering:
    """Prompts continued with a feature's decoder direction added, for several strengths.

    ``alpha * scale`` times the direction is added. scale: the feature's maximum activation, as a
    rule; None for the largest over the prompts. at: of the prompt, see ``Intervener.rows``; it is
    added at every new token. temperature: 0 takes the likeliest token.
    """

    prompts: _Texts
    feature: bounds.Label
    alphas: Annotated[tuple[_Number, ...], MaxLen(256)]
    scale: Annotated[float, Interval(gt=0, lt=1e6)] | None = None
    tokens: Annotated[int, Interval(ge=1, le=4096)] = 30
    at: bounds.Label = "counted"
    temperature: Annotated[float, Interval(ge=0, le=100)] = 0.0
    seed: Annotated[int, Interval(ge=0, lt=2**31)] = 0
    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    def __post_init__(self) -> None:
        _check(self, self.prompts)
        if not self.alphas:
            raise QuestionError("no strength is asked for: give an alpha")


@dataclass(frozen=True, slots=True)
class Ablation:
    """Texts read with the activation of features replaced, one feature at a time.

    features: ``source:index``; none for the ``top`` of each source that are most active over the
    texts. by: what takes the activation's place: 0, its mean over the tokens of the texts that
    count, its value at a token drawn from those (by ``seed``), or ``value``.
    """

    texts: _Texts
    features: Annotated[tuple[bounds.Label, ...], MaxLen(65536)] = ()
    top: Annotated[int, Interval(ge=1, le=10_000)] = 10
    by: Replacement = "zero"
    value: _Number = 0.0
    at: bounds.Label = "counted"
    seed: Annotated[int, Interval(ge=0, lt=2**31)] = 0
    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    def __post_init__(self) -> None:
        _check(self, self.texts)


def _check(request: Steering | Ablation, texts: tuple[str, ...]) -> None:
    if not texts:
        raise QuestionError("nothing is asked: give a text")
    numbers = [request.scale or 0.0, *request.alphas] if isinstance(request, Steering) else []
    if not all(map(math.isfinite, numbers)):
        raise QuestionError("a strength is no finite number")
    try:
        check_fields(request)
    except ShapeError as error:
        said = str(error).replace("Steering.", "").replace("Ablation.", "")
        raise QuestionError(said) from error
