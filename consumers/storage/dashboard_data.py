"""DashboardData of SPD's cluster dashboards, from all activations: exact medians, ten equal bins.

Where SPD's own scripts count only batches in which a cluster is active, here every batch counts, so
that no number depends on how text was cut into batches; a text is in a list once, and rows in which
a cluster is silent are in none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from consumers.storage.batch_storage import BatchProcessingStorage
from consumers.storage.text_sample import TextSample
from streams.arrays import F32, I64, AnyArray
from streams.spd_tokens import THRESHOLD, token_activations

BINS = 10
_VALUES: Mapping[str, Callable[[F32], AnyArray]] = {
    "mean_activation": lambda rows: rows.mean(axis=1, dtype=np.float64),
    "min_activation": lambda rows: rows.min(axis=1),
    "median_activation": lambda rows: np.median(rows, axis=1),
    "max_activation": lambda rows: rows.max(axis=1),
    "max_position": lambda rows: rows.argmax(axis=1).astype(float),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingCriterion:
    """What samples are ranked by: a property of rows, its direction, and how many are taken."""

    property_name: str
    direction: Literal["max", "min"] = "max"
    n_samples: int = 16

    def to_string(self, separator: str = "-") -> str:
        """Return its parts with a separator between."""
        return separator.join((self.property_name, self.direction, str(self.n_samples)))


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSample:
    """A row of a cluster. criteria: those that chose it."""

    text_hash: str
    tokens: Sequence[str]
    activations: F32
    criteria: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class ClusterData:
    """A cluster with its samples and statistics; see the page on formats for their names."""

    cluster_hash: str
    components: Sequence[Mapping[str, Any]]
    samples: list[ClusterSample]
    stats: dict[str, Any]
    criterion_samples: dict[str, list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class DashboardData:
    """All clusters that were ever active, by their ids' text.

    coactivations: samples at which two clusters are above 0, of ``cluster_indices``.
    """

    clusters: dict[str, ClusterData]
    text_samples: Mapping[str, TextSample]
    coactivations: I64
    cluster_indices: list[int]


def dashboard_data(
    storage: BatchProcessingStorage,
    criteria: Sequence[TrackingCriterion] = (TrackingCriterion(property_name="max_activation"),),
) -> DashboardData:
    """Return what a storage has seen as dashboard data; KeyError for an unknown property."""
    clusters = {}
    texts = [text for batch in storage.batches for text in batch]
    for cluster in storage.cluster_indices:
        rows = storage.rows_of(cluster)
        if any((part != 0).any() for part in rows):
            name = storage.cluster_hash_map[cluster]
            components = storage.cluster_components[cluster]
            clusters[name] = _cluster(name, components, rows, texts, criteria)
    return DashboardData(
        clusters, storage.text_samples, storage.coactivations, storage.cluster_indices
    )


def _cluster(
    name: str,
    components: Sequence[Mapping[str, Any]],
    parts: Sequence[F32],
    texts: Sequence[TextSample],
    criteria: Sequence[TrackingCriterion],
) -> ClusterData:
    """Return a cluster's data. parts: its rows [row, position], batch by batch."""
    filled = [part for part in parts if part.size]
    rows = [row for part in parts for row in part]
    active = [bool((row != 0).any()) for row in rows]
    flat = np.concatenate([part.reshape(-1) for part in filled])
    stats: dict[str, Any] = {}
    chosen: dict[str, tuple[int, list[str]]] = {}
    listed: dict[str, list[str]] = {}
    for criterion in criteria:
        values = np.concatenate([_VALUES[criterion.property_name](part) for part in filled])
        named = criterion.to_string()
        listed[named] = []
        for at in _best(values, active, texts, criterion):
            listed[named].append(texts[at].text_hash)
            chosen.setdefault(texts[at].text_hash, (at, []))[1].append(named)
        stats[named] = _binned(values)
    places = np.concatenate([p.argmax(axis=1) / max(1, p.shape[1] - 1) for p in filled])
    stats |= {
        "all_activations": _binned(flat),
        "n_samples": len(rows),
        "n_tokens": int(flat.size),
        "mean_activation": float(flat.mean(dtype=np.float64)),
        "min_activation": float(flat.min()),
        "max_activation": float(flat.max()),
        "median_activation": float(np.median(flat)),
        "max_activation_position": _binned(places),
        "token_activations": _tokens(rows, texts),
    }
    samples = [
        ClusterSample(text_hash, texts[at].tokens, rows[at], named)
        for text_hash, (at, named) in chosen.items()
    ]
    return ClusterData(name, components, samples, stats, listed)


def _best(
    values: AnyArray,
    active: Sequence[bool],
    texts: Sequence[TextSample],
    criterion: TrackingCriterion,
) -> list[int]:
    """Return the rows that a criterion chooses: of each text the best, of equal ones the first."""
    signed = -values if criterion.direction == "max" else values
    found: dict[str, int] = {}
    for at in np.argsort(signed, kind="stable").tolist():
        if active[at]:
            found.setdefault(texts[at].text_hash, at)
    return list(found.values())[: criterion.n_samples]


def _binned(values: AnyArray) -> dict[str, list[Any]]:
    """Return a histogram of ten equal bins from the smallest to the largest value."""
    counts, edges = np.histogram(values, bins=BINS)
    return {"bin_edges": edges.tolist(), "bin_counts": counts.tolist()}


def _tokens(rows: Sequence[F32], texts: Sequence[TextSample]) -> dict[str, Any]:
    """Return at which tokens a cluster is above the threshold, and how evenly."""
    return token_activations(
        text.tokens[at]
        for row, text in zip(rows, texts, strict=True)
        for at in np.flatnonzero(row > THRESHOLD).tolist()
    )
