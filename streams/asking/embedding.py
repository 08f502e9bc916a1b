"""Texts to be embedded by a sentence model, and their vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import MaxLen

from streams import bounds
from streams.asking.question import MAX_TEXTS, OneText
from streams.errors import QuestionError, ShapeError

MAX_WIDTH = 4096
"""Numbers of one vector."""


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts whose vectors are wanted."""

    texts: Annotated[tuple[OneText, ...], MaxLen(MAX_TEXTS)]
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not self.texts or not all(text.strip() for text in self.texts):
            raise QuestionError("nothing is to be embedded: give texts that are not empty")
        try:
            bounds.check_fields(self)
        except ShapeError as error:
            raise QuestionError(str(error).replace("EmbeddingRequest.", "")) from error


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of texts, each of length 1, and what made them.

    model: name of the sentence model. content: hash of its weights, configuration and tokenizer.
    vectors: one per text, in the order of the request.
    """

    model: bounds.Label
    content: bounds.Label
    vectors: tuple[tuple[float, ...], ...]
