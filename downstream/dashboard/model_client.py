"""A model service asked from the pages: what it answers is data, checked like any stranger's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import TypeAdapter, ValidationError

from streams.asking.answer import Answer, TextAnswer
from streams.asking.concept import ConceptAnswer
from streams.asking.effects import Ablated, Steered
from streams.asking.embedding import MAX_WIDTH, Embedded
from streams.bounds import shown
from streams.errors import StreamError
from streams.strict_json import JsonError, parse_json

_MOST_BYTES = 16 * 2**20
_SECONDS = 30.0
_NO_ANSWER = "what the model service answers is no answer"
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ModelServiceError(StreamError):
    """A model service that gave no answer: it is away, or says what is wrong."""


@dataclass(frozen=True, slots=True)
class ModelAnswer(Generic[T_co]):
    """An answer, and the content hashes of the model and of each source that gave it."""

    answer: T_co
    model: str
    sources: Mapping[str, str]

    def is_of(self, about: Mapping[str, Any]) -> bool:
        """Return whether it is that of the model and all sources of a run."""
        wanted = {each["name"]: each.get("content") for each in about.get("sources", ())}
        same = wanted.items() <= dict(self.sources).items()
        return same and self.model == about.get("model_content")


@dataclass(frozen=True, slots=True)
class ModelClient:
    """Asks the service at ``url``, which ends in a slash. token: it wants; None for none."""

    url: str
    token: str | None = None

    async def ask(self, text: str, features: Sequence[str]) -> ModelAnswer[Answer]:
        """Return the answer for one text; raises ModelServiceError in one line."""
        question = {"texts": [text], "top": 12, "per_token": 3, "features": list(features)}
        found = await self._asked("ask", question, _answers())
        if not all(map(_fits, found.answer.texts)):
            raise ModelServiceError(_NO_ANSWER)
        return found

    async def steer(
        self, prompt: str, feature: str, alphas: Sequence[float], scale: float, tokens: int
    ) -> ModelAnswer[Steered]:
        """Return continuations of one prompt; raises ModelServiceError in one line."""
        wanted: dict[str, Any] = {"prompts": [prompt], "feature": feature, "alphas": [*alphas]}
        wanted |= {"scale": scale, "tokens": tokens}
        found = await self._asked("steer", wanted, _steerings())
        if not all(len(one.texts) == 1 for one in found.answer.strengths):
            raise ModelServiceError(_NO_ANSWER)
        return found

    async def ablate(
        self, text: str, features: Sequence[str], top: int, by: str, value: float
    ) -> ModelAnswer[Ablated]:
        """Return the effects of features on one text; raises ModelServiceError in one line."""
        wanted: dict[str, Any] = {"texts": [text], "features": [*features], "top": top}
        return await self._asked("ablate", wanted | {"by": by, "value": value}, _ablations())

    async def embed(self, text: str) -> Embedded:
        """Return the vector of one text, of length 1; raises ModelServiceError in one line."""
        answer = (await self._asked("embed", {"texts": [text]}, _embeddings())).answer
        if len(answer.vectors) != 1 or not _is_unit(answer.vectors[0]):
            raise ModelServiceError(_NO_ANSWER)
        return answer

    async def concept(
        self, present: Sequence[str], absent: Sequence[str], by: str, held_back: float, top: int
    ) -> ModelAnswer[ConceptAnswer]:
        """Return a concept's features; raises ModelServiceError in one line."""
        wanted: dict[str, Any] = {"present": [*present], "absent": [*absent], "by": by}
        return await self._asked(
            "concept", wanted | {"held_back": held_back, "top": top}, _concepts()
        )

    async def _asked(
        self, path: str, question: Mapping[str, Any], adapter: TypeAdapter[T]
    ) -> ModelAnswer[T]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=_SECONDS)) as session,
                session.post(f"{self.url}{path}", json=question, headers=headers) as response,
            ):
                status, body = response.status, bytearray()
                async for part in response.content.iter_chunked(2**16):
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise ModelServiceError("the model service's answer is too large")
        except (TimeoutError, ClientError, OSError) as error:
            what = (str(error) or type(error).__name__)[:200]
            raise ModelServiceError(f"the model service cannot be reached ({what})") from error
        return _read(status, bytes(body), adapter)


def _read(status: int, body: bytes, adapter: TypeAdapter[T]) -> ModelAnswer[T]:
    try:
        found = parse_json(body, _MOST_BYTES)
        if status != 200:
            said = found.get("error") if isinstance(found, dict) else None
            raise ModelServiceError(shown(str(said or f"the model service says {status}"))[1:-1])
        model = found["model"]
        return ModelAnswer(
            answer=adapter.validate_python(found["answer"]),
            model=str(model["content"]),
            sources={str(one["name"]): str(one["content"]) for one in model["sources"]},
        )
    except (JsonError, KeyError, TypeError, ValidationError) as error:
        raise ModelServiceError(_NO_ANSWER) from error


def _fits(text: TextAnswer) -> bool:
    """Return whether the parts of an answer have an entry for each token, and name no other."""
    tokens = len(text.tokens)
    parts = (text.ids, text.counted, text.at_tokens, *(one.values for one in text.values))
    peaks = all(0 <= one.peak < tokens for one in text.features)
    return peaks and all(len(part) == tokens for part in parts)


def _is_unit(vector: Sequence[float]) -> bool:
    """Return whether a vector has length 1, up to rounding to float16."""
    return len(vector) <= MAX_WIDTH and abs(math.hypot(*vector) - 1) < 1e-2


@cache
def _embeddings() -> TypeAdapter[Embedded]:
    return TypeAdapter(Embedded)


@cache
def _answers() -> TypeAdapter[Answer]:
    return TypeAdapter(Answer)


@cache
def _steerings() -> TypeAdapter[Steered]:
    return TypeAdapter(Steered)


@cache
def _ablations() -> TypeAdapter[Ablated]:
    return TypeAdapter(Ablated)


@cache
def _concepts() -> TypeAdapter[ConceptAnswer]:
    return TypeAdapter(ConceptAnswer)
