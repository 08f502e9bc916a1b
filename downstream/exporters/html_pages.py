"""Pages of exported HTML: those that the dashboard shows, rendered for reading without it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from downstream.exporters.html_addresses import Chosen, FileAddresses, index_address
from downstream.rendering.assets import Assets
from downstream.rendering.cluster import cluster_page
from downstream.rendering.cluster_values import cluster_values
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.environment import environment
from downstream.rendering.list_rows import Row, list_rows
from streams.snapshots.annotations import Annotations, ClusterAnnotations

Beside = tuple[str | None, str | None]


class HtmlPages:
    """Makes the pages of an open snapshot, each with ``most`` examples at most."""

    def __init__(
        self,
        snapshot: LoadedSnapshot,
        annotations: Annotations,
        addresses: FileAddresses,
        assets: Assets,
        most: int,
    ) -> None:
        self._snapshot = snapshot
        self._run = snapshot.manifest.run
        self._annotations = annotations
        self._most = most
        self._templates = environment(addresses, assets, served=False)

    def cluster(self, cluster: Chosen, ranking: str, beside: Beside = (None, None)) -> bytes:
        """Return the page of a cluster. beside: labels of those before and after it."""
        page = cluster_page(self._snapshot, cluster.number, ranking=ranking, most=self._most)
        page = replace(page, previous=beside[0], next=beside[1])
        written = self._written(cluster)
        values = cluster_values(self._snapshot, self._run, page, written, self._annotations, {})
        return self._rendered("cluster.html", {**values, "editing": False})

    def index(self, clusters: Sequence[Chosen], total: int, number: int, count: int) -> bytes:
        """Return a page of the list of all. number: 1 to ``count``. total: clusters in the list."""
        groups = groupby(clusters, lambda one: (one.clustering, one.iteration))
        values = {
            "title": f"{total:,} pages · {self._run}",
            "snapshot": self._snapshot,
            "run": self._run,
            "total": total,
            "lists": [self._rows(list(group)) for _, group in groups],
            "number": number,
            "count": count,
            "before": index_address(number - 1) if number > 1 else "",
            "after": index_address(number + 1) if number < count else "",
        }
        return self._rendered("file_list.html", values)

    def _rows(self, clusters: Sequence[Chosen]) -> tuple[LoadedClustering, Sequence[Row]]:
        clustering = self._snapshot.clustering_of(clusters[0].number)
        numbers = np.array([one.number for one in clusters], np.int64)
        written = {one.number - clustering.first: self._written(one) for one in clusters}
        return clustering, tuple(list_rows(self._snapshot, clustering, numbers, written))

    def _written(self, cluster: Chosen) -> ClusterAnnotations:
        return self._annotations.of(cluster.clustering, cluster.iteration, cluster.label)

    def _rendered(self, template: str, values: dict[str, Any]) -> bytes:
        return self._templates.get_template(template).render(values).encode()
