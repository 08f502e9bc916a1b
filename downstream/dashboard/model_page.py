"""What pages of a run share that show what a model service answers: asked, checked, refused."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from aiohttp import web

from downstream.dashboard import pages
from downstream.dashboard.answers import Answers
from downstream.dashboard.model_client import ModelAnswer, ModelClient, ModelServiceError
from downstream.dashboard.problems import sentence
from downstream.dashboard.watch import SnapshotWatch
from downstream.rendering import addresses
from downstream.rendering.data import LoadedSnapshot

MOST_CHARACTERS = 2000
_OTHER_MODEL = (
    "The model service has another model or other dictionaries than this run, so that its answer "
    "is not shown."
)

Found = TypeVar("Found")


class ModelPage(ABC):
    """Answers an address with a RUN in it. client: asks the service; None where none is named."""

    def __init__(self, watch: SnapshotWatch, answers: Answers, client: ModelClient | None) -> None:
        self._watch = watch
        self._answers = answers
        self._client = client

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Give the page of what is asked, or the one that invites to ask."""
        shelf, run = self._watch.shelf, request.match_info["run"]
        snapshot = shelf.find(run)
        if snapshot is None:
            page = pages.not_found(f"No run named “{run}” has a snapshot here.")
        else:
            page = await self._page(snapshot, run, request.query)
        response = self._answers.response(request, shelf, page)
        response.headers["Cache-Control"] = "no-store"
        return response

    @abstractmethod
    async def _page(self, snapshot: LoadedSnapshot, run: str, asked: Any) -> pages.Page:
        """Return the page of a run. asked: the query of its address."""


async def answer_of(
    asking: Awaitable[ModelAnswer[Found]], snapshot: LoadedSnapshot
) -> tuple[Found | None, str]:
    """Return what the service answers and "", or None and why there is nothing to show."""
    try:
        given = await asking
    except ModelServiceError as error:
        return None, sentence(error)
    return (given.answer, "") if given.is_of(snapshot.about) else (None, _OTHER_MODEL)


def feature_links(
    snapshot: LoadedSnapshot, run: str, features: Iterable[tuple[str, int]]
) -> dict[str, str]:
    """Return the address of each feature (source, index) that is watched alone, by its label."""
    found = {}
    for source, index in features:
        clustering = snapshot.clustering(f"features/{source}", 0)
        if clustering and snapshot.find(clustering, str(index)) is not None:
            address = addresses.cluster_address(run, clustering.name, 0, str(index))
            found[f"{source}:{index}"] = address
    return found
