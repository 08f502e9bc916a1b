"""A hierarchical clustering as the merges that made it, and the clusters after some of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.arrays import I64
from streams.errors import SettingsError


@dataclass(frozen=True, slots=True, eq=False)
class MergeTree:
    """Merges of clusters, first to last, as SciPy numbers them.

    labels: of the n components, in their order. merges: [merge, 2], numbers of the two clusters
    that a merge joins: below n a component alone, n + i what merge i made. least: merges that count
    as one step, since nothing is known of their order; a cut has at least so many.
    """

    labels: Sequence[str]
    merges: I64
    least: int = 0

    def clusters_after(self, merges: int) -> list[list[int]]:
        """Return the components of each cluster after the first ``merges``, by their first one.

        Raises SettingsError if there are not so many merges, or only fewer than ``least``.
        """
        if not self.least <= merges <= len(self.merges):
            raise SettingsError(
                f"there is no clustering after {merges:,} merges, only after {self.least:,} to "
                f"{len(self.merges):,}"
            )
        total = len(self.labels)
        parent = np.arange(total + merges)
        for number, pair in enumerate(self.merges[:merges].tolist()):
            for each in pair:
                parent[each] = total + number
        # A merge comes after those that it joins, so from the last one back each knows its root.
        for each in range(total + merges - 1, -1, -1):
            parent[each] = parent[parent[each]]
        root = parent[:total]
        order = np.argsort(root, kind="stable")
        bounds = np.flatnonzero(np.diff(root[order])) + 1
        return sorted(part.tolist() for part in np.split(order, bounds))

    def merges_for(self, clusters: int) -> int:
        """Return after how many merges there are so many clusters; raises SettingsError."""
        merges = len(self.labels) - clusters
        if not self.least <= merges <= len(self.merges):
            most, fewest = len(self.labels) - self.least, len(self.labels) - len(self.merges)
            raise SettingsError(
                f"there can be {fewest:,} to {most:,} clusters of these {len(self.labels):,} "
                f"features, not {clusters:,}"
            )
        return merges
