"""HTML: the dashboard's pages of features and clusters as files that open without a server.

Of one page there is one file that holds all it needs. Of several there is a folder with a list of
them, and with the styles and the script that they share. Nothing else is loaded.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from downstream.exporters import choices as shared
from downstream.exporters.cluster_ranges import features_of
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.html_addresses import Chosen, FileAddresses, index_address
from downstream.exporters.html_pages import Beside, HtmlPages
from downstream.exporters.naming import sign_notes
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot
from downstream.rendering.assets import assets_beside, assets_within
from downstream.rendering.cluster import rankings_of
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from streams.errors import ExportError

_MOST = 10_000
_LISTED = 200
"""Clusters on a page of the list."""

_FEATURES = Option("features", "Features by their index: 88, or 0-99,512; @FILE has one a line.")
_CLUSTERS = Option("cluster", "Label of a cluster to write; may be repeated.", many=True)
_CLUSTERING = Option("clustering", "Clustering of these clusters.", shown="the only one")
_ITERATION = Option("iteration", "Iteration of the clustering.", default=0)
_RANKINGS = Option("ranking", "Ranking of the examples; repeated: a page by each.", many=True)


class Html:
    """Writes one file for one page, a folder for several."""

    name = "html"
    summary = "The dashboard's pages as files: one for one feature or cluster, else a folder."
    options = (
        _FEATURES,
        shared.SOURCE,
        _CLUSTERS,
        _CLUSTERING,
        _ITERATION,
        _RANKINGS,
        shared.EXAMPLES,
    )

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the pages, and the list of several last."""
        most = shared.positive(choices, "examples")
        if choices["features"] is None and not choices["cluster"]:
            raise ExportError("say which --features or --cluster")
        opened = open_snapshot(snapshot.manifest)
        chosen = list(_chosen(snapshot, opened, choices))
        rankings = _rankings(rankings_of(opened), choices["ranking"])
        alone = len(chosen) == len(rankings) == 1
        addresses = FileAddresses(chosen, rankings, "" if alone else index_address(1))
        assets = assets_within() if alone else assets_beside()
        pages = HtmlPages(opened, snapshot.annotations, addresses, assets, most)
        if alone:
            out.write(out.alone, pages.cluster(chosen[0], rankings[0]))
        else:
            for name, data in assets.beside.items():
                out.write(name, data)
            _write_folder(out, pages, addresses, chosen)
        return [
            "search, filters, maps and own texts need a server: millrace dashboard",
            *sign_notes(snapshot),
        ]


def _write_folder(
    out: Staging, pages: HtmlPages, addresses: FileAddresses, chosen: Sequence[Chosen]
) -> None:
    for cluster, beside in _in_turn(chosen):
        for ranking in addresses.rankings:
            name = addresses.file(cluster, ranking)
            if not out.has(name):
                out.write(name, pages.cluster(cluster, ranking, beside))
    count = -(-len(chosen) // _LISTED)
    for number in range(1, count + 1):
        listed = chosen[(number - 1) * _LISTED : number * _LISTED]
        out.write(index_address(number), pages.index(listed, len(chosen), number, count))


def _in_turn(chosen: Sequence[Chosen]) -> Iterator[tuple[Chosen, Beside]]:
    """Yield clusters with the labels of those before and after them in their clustering."""
    for _, group in groupby(chosen, lambda one: (one.clustering, one.iteration)):
        ours = list(group)
        labels = [None, *(one.label for one in ours), None]
        for at, cluster in enumerate(ours):
            yield cluster, (labels[at], labels[at + 2])


def _rankings(known: Sequence[str], wanted: Sequence[str]) -> Sequence[str]:
    """Return the rankings that were chosen; raises ExportError, naming those there are."""
    for name in wanted:
        if name not in known:
            raise ExportError(f"there is no ranking {name!r} (there are: {', '.join(known)})")
    return tuple(dict.fromkeys(wanted)) or known[:1]


def _chosen(snapshot: Snapshot, opened: LoadedSnapshot, choices: Choices) -> Iterator[Chosen]:
    """Yield what is to be written; raises ExportError for too much, or what is not there."""
    if choices["features"] is not None:
        features = features_of(snapshot, choices["source"])
        found = shared.indices(choices["features"], len(features)) or set()
        if len(found) > _MOST:
            raise ExportError(
                f"--features: {len(found):,} pages are more than the {_MOST:,} allowed"
            )
        for index in sorted(found):
            number = features.first + index
            yield Chosen(number, features.clustering, 0, opened.label(number))
    if choices["cluster"]:
        clustering = _clustering(opened, choices["clustering"], choices["iteration"])
        for label in dict.fromkeys(choices["cluster"]):
            place = opened.find(clustering, label)
            if place is None:
                name = f"{clustering.name}, iteration {clustering.iteration}"
                raise ExportError(f"there is no {label!r} in {name}")
            yield Chosen(place, clustering.name, clustering.iteration, label)


def _clustering(opened: LoadedSnapshot, name: str | None, iteration: int) -> LoadedClustering:
    """Return the clustering that was chosen, the only one by default; raises ExportError."""
    names = list(dict.fromkeys(one.name for one in opened.clusterings))
    known = ", ".join(names) or "none"
    if name is None and len(names) != 1:
        raise ExportError(f"say which --clustering, one of {known}")
    found = opened.clustering(name or names[0], iteration)
    if found is None:
        raise ExportError(f"there is no clustering {name!r} ({iteration}); there are: {known}")
    return found
