"""A cluster as SPD's dashboards know it: its name, its components and its statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from downstream.exporters.cluster_ranges import SINGLES, ClusterRange, columns_of
from downstream.exporters.clusters import ClusterBatch, ClusterRow, float32
from downstream.exporters.histograms import bars, quantiles
from downstream.reading.kept import KeptActivations
from downstream.reading.snapshot import Snapshot
from streams.arrays import F32
from streams.spd_tokens import THRESHOLD, token_activations

BINS = 10
FORMAT = "__muutils_format__"
"""The key by which ZANJ tells arrays from other objects."""


@dataclass(frozen=True)
class ClusterNames:
    """What clusters are called. numbers: by the place in the clustering, None for the place."""

    clustering: str
    run: str
    iteration: int
    separator: str
    numbers: list[int] | None

    @classmethod
    def of(cls, snapshot: Snapshot, chosen: ClusterRange, separator: str) -> "ClusterNames":
        """Return the names of a clustering's clusters: their labels, if these are numbers."""
        run = chosen.clustering.removeprefix(SINGLES)
        for sign in (separator, ":", "|"):
            run = run.replace(sign, "_")
        labels = columns_of(snapshot, chosen, "label")["label"].to_pylist()
        plain = all(
            text.isascii() and text.isdecimal() and str(int(text)) == text for text in labels
        )
        numbers = [int(text) for text in labels] if plain else None
        return cls(chosen.clustering, run, chosen.iteration, separator, numbers)

    def number(self, index: int) -> int:
        """Return the number of a cluster by its place."""
        return index if self.numbers is None else self.numbers[index]

    def name(self, index: int) -> str:
        """Return the name of a cluster by its place."""
        return self.separator.join((self.run, str(self.iteration), str(self.number(index))))

    def notes(self) -> list[str]:
        """Return how the names differ from those of the run."""
        found = []
        if self.numbers is None:
            found.append("clusters are named by their place, since their labels are no numbers")
        if self.run != self.clustering:
            found.append(f"the clustering {self.clustering} is named {self.run}")
        return found


def component(member: str) -> dict[str, Any]:
    """Return a member, ``source:index``, as a component of a module."""
    module, _, index = member.rpartition(":")
    return {"module": module, "index": int(index), "label": member}


def array(values: Any, dtype: str) -> dict[str, Any]:
    """Return an array as ZANJ writes a small one."""
    found = np.asarray(values)
    return {
        FORMAT: "numpy.ndarray:array_list_meta",
        "data": values,
        "shape": list(found.shape),
        "dtype": dtype,
        "n_elements": int(found.size),
    }


def binned(values: Sequence[float], span: tuple[float, float] | None) -> dict[str, Any]:
    """Return a histogram of ten bins, from the smallest to the largest value or over a span."""
    counts, edges = np.histogram(values, bins=BINS, range=span)
    return {"bin_edges": edges.tolist(), "bin_counts": counts.tolist()}


def statistics(
    row: ClusterRow, edges: Sequence[float], totals: Mapping[str, int], kept: F32 | None = None
) -> dict[str, Any]:
    """Return the numbers over all valid tokens, at which a silent cluster has activation 0.

    kept: the activations where it is active, all of them; without them bins and median are those of
    the run's histogram.
    """
    if kept is not None:
        return {**statistics(row, edges, totals), **_exact(kept, totals["tokens"])}
    numbers, tokens = row.numbers, totals["tokens"]
    silent = tokens - numbers["firing_tokens"]
    found = bars(numbers, edges, BINS, silent=silent or None)
    active = quantiles(numbers, edges, [max(0.0, (tokens / 2 - silent) / max(tokens - silent, 1))])
    return {
        "all_activations": {"bin_edges": list(found.edges), "bin_counts": list(found.counts)},
        "n_samples": totals["rows"],
        "n_tokens": tokens,
        "mean_activation": numbers["mean_activation"] * (tokens - silent) / max(tokens, 1),
        "min_activation": 0.0 if silent else float32(numbers["min_activation"]),
        "max_activation": float32(numbers["max_activation"]),
        "median_activation": active[0] if active and 2 * silent < tokens else 0.0,
    }


def kept_by_cluster(kept: KeptActivations | None, batch: ClusterBatch) -> dict[int, F32]:
    """Return every activation of a batch's clusters by their numbers, none without ``kept``."""
    if kept is None:
        return {}
    own = batch.clusters["cluster"].to_pylist()
    table = kept.between(own[0], own[-1] + 1).sort_by("cluster")
    bounds = np.searchsorted(table["cluster"].to_numpy(), [*own, own[-1] + 1])
    values = table["activation"].to_numpy()
    return {number: values[bounds[at] : bounds[at + 1]] for at, number in enumerate(own)}


def _exact(kept: F32, tokens: int) -> dict[str, Any]:
    """Return ten equal bins and the median of activations at so many tokens, 0 at all others."""
    silent = max(0, tokens - len(kept))
    values = np.sort(kept)
    zero = np.zeros(1, np.float32)
    ends = np.concatenate([zero if silent or not len(values) else values[:1], values[-1:], zero])
    span = (ends[0], ends[1])
    counts, edges = np.histogram(values, bins=BINS, range=span)
    counts = counts + silent * np.histogram(zero, bins=BINS, range=span)[0]
    middle = [(tokens - 1) // 2 - silent, tokens // 2 - silent] if tokens else []
    both = [values[at] if at >= 0 else np.float32(0) for at in middle]
    return {
        "all_activations": {"bin_edges": edges.tolist(), "bin_counts": counts.tolist()},
        "median_activation": float(np.mean(both)) if both else 0.0,
    }


def tokens(row: ClusterRow) -> dict[str, Any]:
    """Return which tokens of the examples the cluster is active at."""
    return token_activations(
        example.tokens[position]
        for example in row.examples
        for position in example.positions[example.activations > THRESHOLD].tolist()
    )
