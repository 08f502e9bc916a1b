"""Addresses of exported pages: files beside each other, "" for a page that was not exported."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chosen:
    """A cluster of which there is a page. number: in the run."""

    number: int
    clustering: str
    iteration: int
    label: str


class FileAddresses:
    """What templates ask for the address of a page, as the module ``rendering.addresses``.

    rankings: by which each of the clusters has a page. index: the address of the list of pages.
    """

    def __init__(self, clusters: Iterable[Chosen], rankings: Sequence[str], index: str) -> None:
        self.rankings = rankings
        self._index = index
        self._of: dict[tuple[str, int, str], Chosen] = {}
        for one in clusters:
            self._of.setdefault((one.clustering, one.iteration, one.label), one)

    def file(self, cluster: Chosen, ranking: str) -> str:
        """Return the name of the file of a cluster's page by a ranking."""
        more = "" if ranking == self.rankings[0] else f".{_plain(ranking)}"
        return f"{cluster.number}-{_plain(cluster.label)}{more}.html"

    def home_address(self) -> str:
        """Return the address of the list of pages."""
        return self._index

    def run_address(self, run: str) -> str:
        """Return the same: all pages are of one run."""
        return self._index

    def clustering_address(self, run: str, clustering: str, iteration: int = 0, **_: object) -> str:
        """Return the same."""
        return self._index

    def cluster_address(
        self, run: str, clustering: str, iteration: int, label: str, **query: object
    ) -> str:
        """Return the page of a cluster by a ranking, by the first one if none is asked."""
        cluster = self._of.get((clustering, iteration, label))
        ranking = str(query.get("ranking") or self.rankings[0])
        if cluster is None or ranking not in self.rankings:
            return ""
        return self.file(cluster, ranking)


def index_address(number: int) -> str:
    """Return the address of a page of the list, the first of which is 1."""
    return f"index-{number}.html" if number > 1 else "index.html"


def _plain(label: str) -> str:
    """Return a label as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", label)[:60].strip("-") or "unnamed"
