"""How much a model service takes on: sizes of what is asked, and of what waits."""

from dataclasses import dataclass

from consumers.interventions.requests import Ablation, Steering
from streams.asking.concept import ConceptQuestion
from streams.asking.embedding import EmbeddingRequest
from streams.asking.question import Question
from streams.errors import QuestionError


@dataclass(frozen=True, slots=True)
class AskLimits:
    """Bounds of a service for questions.

    texts and characters: of one question, all texts together. tokens: likewise. body: bytes of a
    request. waiting: questions that may wait for the model. batch: questions that are answered
    together. window: seconds that the first of them waits for others. interventions: how many
    steerings, ablations and concepts may wait, the former of so many prompts; a steering of so many
    alphas and new_tokens, an ablation of so many features. Texts to be embedded wait among them.
    concept_texts: of both sides of a concept together, which lists so many features; tokens and
    characters as of a question.
    """

    texts: int = 64
    characters: int = 100_000
    tokens: int = 16_384
    body: int = 2**20
    waiting: int = 64
    batch: int = 32
    window: float = 0.005
    interventions: int = 4
    prompts: int = 4
    alphas: int = 12
    new_tokens: int = 64
    features: int = 128
    concept_texts: int = 256

    def check(self, question: Question | EmbeddingRequest) -> None:
        """Raise QuestionError for a question, or texts to be embedded, with too much text."""
        if len(question.texts) > self.texts:
            raise QuestionError(f"{len(question.texts)} texts are asked, {self.texts} at most")
        if (total := sum(map(len, question.texts))) > self.characters:
            raise QuestionError(f"the texts have {total:,} characters, {self.characters:,} at most")

    def check_steering(self, request: Steering) -> None:
        """Raise QuestionError for a steering that would take too long."""
        self._check(
            ("prompts", len(request.prompts), self.prompts),
            ("strengths", len(request.alphas), self.alphas),
            ("new tokens", request.tokens, self.new_tokens),
            ("characters", sum(map(len, request.prompts)), self.characters),
        )

    def check_ablation(self, request: Ablation) -> None:
        """Raise QuestionError for an ablation that would take too long."""
        self._check(
            ("texts", len(request.texts), self.prompts),
            ("features", len(request.features) or request.top, self.features),
            ("characters", sum(map(len, request.texts)), self.characters),
        )

    def check_concept(self, question: ConceptQuestion) -> None:
        """Raise QuestionError for a concept of too much text."""
        texts = (*question.present, *question.absent)
        self._check(
            ("texts", len(texts), self.concept_texts),
            ("features of each source", question.top, self.features),
            ("characters", sum(map(len, texts)), self.characters),
        )

    def _check(self, *asked: tuple[str, int, int]) -> None:
        for name, found, most in asked:
            if found > most:
                raise QuestionError(f"{found:,} {name} are asked for, {most:,} at most")
