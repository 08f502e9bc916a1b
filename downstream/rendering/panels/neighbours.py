"""The panel of neighbours: features with the nearest decoder and encoder directions."""

import math
from dataclasses import dataclass

from downstream.derived.neighbours import NEIGHBOURS
from downstream.rendering.coactivation import Neighbour, single_clusters
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject, rows_of
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest

_MOST = 20


@dataclass(frozen=True, slots=True)
class NearFeature:
    """A near feature. page: its cluster of one, None for one of another dictionary."""

    label: str
    cosine: float
    page: Neighbour | None


@dataclass(frozen=True, slots=True)
class NearList:
    """The nearest by one direction in one source."""

    direction: str
    source: str
    features: tuple[NearFeature, ...]


@dataclass(frozen=True, slots=True)
class ShownNeighbours:
    """What the panel shows."""

    lists: tuple[NearList, ...]


@dataclass(frozen=True, slots=True)
class NeighboursPanel:
    """Features with near directions."""

    kind: str = "neighbours"
    template: str = "panels/neighbours.html"

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> ShownNeighbours | None:
        """Return the neighbours of a feature."""
        if subject.feature is None:
            return None
        lists, number = [], subject.feature.number
        for row in rows_of(attached, NEIGHBOURS, "feature", number).to_pylist():
            source, indices = row["other_source"], row["other_indices"][:_MOST]
            labels = [f"{source}:{index}" for index in indices]
            pages = single_clusters(snapshot, labels, named=True)
            near = tuple(
                NearFeature(label, _finite(cosine), pages.get(label))
                for label, cosine in zip(labels, row["cosines"], strict=False)
            )
            lists.append(NearList(row["direction"], source, near))
        return ShownNeighbours(tuple(lists)) if lists else None


def _finite(cosine: float) -> float:
    if not math.isfinite(cosine):
        raise SnapshotError("it holds cosines that are not finite")
    return cosine
