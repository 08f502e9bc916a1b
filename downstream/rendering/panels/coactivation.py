"""The panel of co-activation in shared rows: what a cluster of a wide clustering is active with."""

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from downstream.derived.coactivation import SAMPLED_COACTIVATION
from downstream.rendering.coactivation import Neighbour, neighbour
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject, rows_of
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest

_MOST = 20


@dataclass(frozen=True, slots=True)
class Coactive:
    """Another cluster: tokens at which both are active, Jaccard index with its error, PMI."""

    page: Neighbour
    tokens: int
    other_tokens: int
    jaccard: float
    jaccard_error: float
    pmi: float
    exact: bool


@dataclass(frozen=True, slots=True)
class CoactiveList:
    """Those of one clustering."""

    clustering: str
    clusters: tuple[Coactive, ...]


@dataclass(frozen=True, slots=True)
class ShownCoactivation:
    """What the panel shows."""

    lists: tuple[CoactiveList, ...]


@dataclass(frozen=True, slots=True)
class CoactivationPanel:
    """Clusters that are active together, counted in shared rows."""

    kind: str = "coactivation"
    template: str = "panels/coactivation.html"

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> ShownCoactivation | None:
        """Return the clusters that one is active with most."""
        rows = rows_of(attached, SAMPLED_COACTIVATION, "cluster", subject.cluster).to_pylist()
        lists = [
            CoactiveList(name, tuple(_coactive(snapshot, row) for row in list(group)[:_MOST]))
            for name, group in groupby(rows, lambda row: row["other_clustering"])
        ]
        return ShownCoactivation(tuple(lists)) if lists else None


def _coactive(snapshot: LoadedSnapshot, row: dict[str, Any]) -> Coactive:
    numbers = {name: row[name] for name in ("jaccard", "jaccard_error", "pmi")}
    if not 0 <= row["other"] < len(snapshot.sizes) or not all(map(math.isfinite, numbers.values())):
        raise SnapshotError("it holds clusters or numbers that make no sense")
    counts = {name: row[name] for name in ("tokens", "other_tokens", "exact")}
    return Coactive(neighbour(snapshot, row["other"]), **counts, **numbers)
