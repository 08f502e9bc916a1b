"""The page that tries a text: asked of a model service, shown by token and by feature."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from downstream.dashboard import addresses, pages
from downstream.dashboard.answers import Answers
from downstream.dashboard.data import LoadedSnapshot
from downstream.dashboard.model_client import ModelAnswer, ModelClient, ModelServiceError
from downstream.dashboard.watch import SnapshotWatch
from downstream.reading.token_text import visible
from streams.asking.answer import Answer, TextAnswer

MOST_CHARACTERS = 2000
_LEVELS = 16
OTHER_MODEL = (
    "The model service has another model or other dictionaries than this run, so that its answer "
    "is not shown."
)


@dataclass(frozen=True, slots=True)
class TriedToken:
    """A token as shown. level: of the feature that is looked at, or of the strongest; of 16."""

    text: str
    title: str
    level: int


class Trying:
    """Answers ``/try/RUN``. client: asks the model service; None where none is named."""

    def __init__(self, watch: SnapshotWatch, answers: Answers, client: ModelClient | None) -> None:
        self._watch = watch
        self._answers = answers
        self._client = client

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Give the page of a text, or the one that asks for a text."""
        shelf, run = self._watch.shelf, request.match_info["run"]
        snapshot = shelf.find(run)
        if snapshot is None:
            page = pages.not_found(f"No run named “{run}” has a snapshot here.")
        else:
            page = await self._page(snapshot, run, request.query.get("text", ""), request.query)
        response = self._answers.response(request, shelf, page)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _page(self, snapshot: LoadedSnapshot, run: str, text: str, asked: Any) -> pages.Page:
        feature = asked.get("feature", "").strip()
        if len(text) > MOST_CHARACTERS:
            return pages.refusal(f"A text may have {MOST_CHARACTERS:,} characters here.", 400)
        found, problem = None, ""
        if self._client and text.strip():
            try:
                found = await self._client.ask(text, [feature] if feature else [])
            except ModelServiceError as error:
                problem = f"{error}".capitalize() + "."
        if found is not None and not found.is_of(snapshot.about):
            found, problem = None, OTHER_MODEL
        return _try_page(snapshot, run, text, feature, found, problem, self._client is not None)


def _try_page(
    snapshot: LoadedSnapshot,
    run: str,
    text: str,
    feature: str,
    found: ModelAnswer[Answer] | None,
    problem: str,
    served: bool,
) -> pages.Page:
    tried = found.answer.texts[0] if found and found.answer.texts else None
    values: dict[str, Any] = {
        "snapshot": snapshot,
        "run": run,
        "text": text,
        "feature": feature,
        "problem": problem,
        "served": served,
        "tried": tried,
        "tokens": list(_tokens(tried)) if tried else [],
        "links": _links(snapshot, run, tried) if tried else {},
    }
    data: dict[str, Any] = {"run": run, "text": text, "problem": problem}
    data["answer"] = asdict(tried) if tried else None
    return pages.Page("try.html", f"A text · {run}", values, lambda: data)


def _tokens(tried: TextAnswer) -> Iterator[TriedToken]:
    """Yield the tokens with what is active there, the activations as shares of the largest."""
    chosen = tried.values[0] if tried.values else None
    strongest = [max((one.activation for one in listed), default=0.0) for listed in tried.at_tokens]
    levels = [abs(value or 0.0) for value in chosen.values] if chosen else strongest
    most = max(levels, default=0.0) or 1.0
    for at, (shown, level) in enumerate(zip(tried.tokens, levels, strict=True)):
        listed = (f"{one.source}:{one.index} {one.activation:.3g}" for one in tried.at_tokens[at])
        said = ", ".join(listed)
        if chosen and level:
            said = f"{chosen.source}:{chosen.index} {chosen.values[at]:.3g}; {said}"
        title = said or "nothing is active" if tried.counted[at] else "does not count"
        yield TriedToken(visible(shown), title, math.ceil(_LEVELS * level / most))


def _links(snapshot: LoadedSnapshot, run: str, tried: TextAnswer) -> dict[str, str]:
    """Return the addresses of the listed features that are watched alone."""
    found = {}
    for one in tried.features:
        clustering = snapshot.clustering(f"features/{one.source}", 0)
        if clustering and snapshot.find(clustering, str(one.index)) is not None:
            name = clustering.name
            found[one.label] = addresses.cluster_address(run, name, 0, str(one.index))
    return found
