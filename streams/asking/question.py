"""A question to a model: which features are active on some texts, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from annotated_types import Interval, MaxLen

from streams import bounds
from streams.errors import QuestionError, ShapeError

Order = Literal["total", "maximum", "tokens", "last"]
ORDERS: tuple[Order, ...] = get_args(Order)

MAX_TEXTS = 4096
MAX_CHARACTERS = 2**20
"""Of one text: more is a corpus, and what a run is for."""

OneText = Annotated[str, MaxLen(MAX_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a model and its dictionaries.

    texts: each is read from its beginning, by itself. top: how many features of each source are
    listed, of each text and of all. per_token: how many of each source are listed at a token. by:
    what "most" means: the sum of activations, the largest, the number of tokens at which a feature
    is active, or the activation at the text's last token that counts. features: ``source:index`` of
    those whose activation at every token is wanted.
    """

    texts: Annotated[tuple[OneText, ...], MaxLen(MAX_TEXTS)]
    top: Annotated[int, Interval(ge=0, le=10_000)] = 10
    per_token: Annotated[int, Interval(ge=0, le=100)] = 3
    by: Order = "total"
    features: Annotated[tuple[bounds.Label, ...], MaxLen(256)] = ()
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not self.texts:
            raise QuestionError("nothing is asked: give a text")
        if (number := next((n for n, t in enumerate(self.texts) if not t), None)) is not None:
            raise QuestionError(f"text {number + 1} is empty")
        if self.by not in ORDERS:
            raise QuestionError(f"by: {bounds.shown(self.by)} is none of {', '.join(ORDERS)}")
        try:
            bounds.check_fields(self)
        except ShapeError as error:
            raise QuestionError(str(error).replace("Question.", "")) from error


def split_label(label: str) -> tuple[str, int]:
    """Return source and index of ``source:index``; raises QuestionError for anything else."""
    source, colon, index = label.rpartition(":")
    if not colon or not source or not (index.isascii() and index.isdecimal() and len(index) < 9):
        raise QuestionError(f"{bounds.shown(label)} names no feature: write SOURCE:INDEX")
    return source, int(index)
