"""Searches by concept: words embedded by the model service, compared with attached vectors."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from downstream.dashboard.model_client import ModelClient, ModelServiceError
from downstream.dashboard.problems import sentence
from downstream.dashboard.search_words import wanted_of
from downstream.reading.embeddings import KIND, Embeddings, read_embeddings
from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from streams.arrays import F32
from streams.asking.embedding import Embedded
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest

_log = logging.getLogger(__name__)

NO_SERVICE = "A search by concept asks a model service, and these pages have none."
NO_VECTORS = "No vectors are attached to this snapshot yet."
_OTHER_MODEL = (
    "The model service has the sentence model {asked}, the attached vectors are of {attached}: "
    "they cannot be compared."
)
_UNREADABLE = "The attached vectors cannot be read; the cause is in the service's log."


@dataclass(frozen=True, slots=True)
class Concept:
    """Words of a search as the model service embeds them; None and why there is no vector."""

    embedded: Embedded | None
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Nearness:
    """How like a concept clusters are.

    similarity [cluster of a clustering]: the larger cosine of label and contexts, NaN for neither;
    None and the problem where nothing can be compared. model: the sentence model.
    """

    similarity: F32 | None
    problem: str = ""
    model: str = ""


async def concept_of(asked: Mapping[str, str], client: ModelClient | None) -> Concept | None:
    """Return what an address's search asks for by concept, None if it asks for none.

    client: asks the model service; None where none is named.
    """
    words = wanted_of(asked.get("q", "")[:200]).concept
    if not words:
        return None
    if client is None:
        return Concept(None, NO_SERVICE)
    try:
        return Concept(await client.embed(words))
    except ModelServiceError as error:
        return Concept(None, sentence(error))


def nearness(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, concept: Concept | None
) -> Nearness:
    """Return how like a concept the clusters of a clustering are."""
    attached = [one for one in attachments_of(snapshot).now() if one.kind == KIND]
    if not attached:
        return Nearness(None, NO_VECTORS)
    if concept is None or concept.embedded is None:
        return Nearness(None, concept.problem if concept else NO_SERVICE)
    asked = concept.embedded
    same = [one for one in attached if one.provenance.get("model_sha256") == asked.content]
    if not same:
        newest = max(attached, key=lambda one: one.created)
        names = (asked.model[:80], str(newest.provenance.get("model"))[:80])
        named, of = names if names[0] != names[1] else (asked.content[:12], "other weights")
        return Nearness(None, _OTHER_MODEL.format(asked=named, attached=of))
    newest = max(same, key=lambda one: one.created)
    vectors = _vectors_of(snapshot, newest)
    if vectors is None:
        return Nearness(None, _UNREADABLE)
    query = np.array(asked.vectors[0], np.float32)
    if query.shape != (vectors.width,):
        return Nearness(
            None,
            f"The model service answers with {len(query):,} numbers, the attached vectors have "
            f"{vectors.width:,}: they cannot be compared.",
        )
    query /= np.linalg.norm(query)
    span = slice(clustering.first, clustering.stop)
    return Nearness(vectors.similarities(query, span), model=vectors.model)


def _vectors_of(snapshot: LoadedSnapshot, attached: AttachmentManifest) -> Embeddings | None:
    key = ("embeddings", attached.name, attached.hash, attached.created)
    return snapshot.once(key, partial(_read, snapshot, attached))


def _read(snapshot: LoadedSnapshot, attached: AttachmentManifest) -> Embeddings | None:
    try:
        return read_embeddings(attached, len(snapshot.labels))
    except SnapshotError as error:
        _log.error("vectors cannot be read: %s/%s %s", KIND, attached.name, error)
        return None
