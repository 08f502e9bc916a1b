"""From a request's address to a page: the model, and the template that shows it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from downstream.dashboard import addresses
from downstream.dashboard.cluster import cluster_page
from downstream.dashboard.components import component_page, source_summaries
from downstream.dashboard.data import LoadedClustering, LoadedSnapshot
from downstream.dashboard.listing import make_listing, query_of
from downstream.dashboard.watch import Shelf

FEW, ALL = 20, 100_000


@dataclass(frozen=True, slots=True)
class Page:
    """What to show: a template with its values, and the same as plain data."""

    template: str
    title: str
    values: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Moved:
    """The page is at another address."""

    address: str


def home(shelf: Shelf, asked: Mapping[str, str]) -> Page:
    """Return the list of runs, or the page of the only one."""
    if len(shelf.snapshots) == 1:
        (snapshot,) = shelf.snapshots.values()
        return _list_page(snapshot, snapshot.clusterings[0], asked)
    data = {
        "runs": [provenance(snapshot) for snapshot in shelf.snapshots.values()],
        "problems": dict(shelf.problems),
    }
    return Page("runs.html", "Runs", {"snapshots": list(shelf.snapshots.values())}, data)


def run_path(shelf: Shelf, raw_path: str, asked: Mapping[str, str]) -> Page | Moved:
    """Return the page of a run, a clustering or a cluster by its address as it came in."""
    run, name, label = addresses.parse(raw_path)
    snapshot = shelf.snapshots.get(run)
    if snapshot is None:
        return not_found(f"No run named “{run}” has a snapshot here.")
    if not name:
        if label is not None or not raw_path.endswith("/"):
            return _no_slash(snapshot, label)
        return _list_page(snapshot, snapshot.clusterings[0], asked)
    iteration = asked.get("iteration", "0")
    clustering = snapshot.clustering(name, int(iteration) if _small(iteration) else -1)
    if clustering and label is None:
        return _list_page(snapshot, clustering, asked)
    number = snapshot.find(clustering, label) if clustering and label is not None else None
    if number is not None:
        return _cluster_page(snapshot, number, asked)
    if label is None:
        return not_found(f"Run “{run}” has no clustering “{name}” (iteration {iteration}).")
    return _no_slash(snapshot, f"{name}/{label}")


def components(shelf: Shelf, run: str, name: str, asked: Mapping[str, str]) -> Page:
    """Return the dead or dropped components of a source."""
    snapshot = shelf.snapshots.get(run)
    sources = source_summaries(snapshot) if snapshot else ()
    source = next((source for source in sources if source.name == name), None)
    if snapshot is None or source is None:
        return not_found(f"No run “{run}” with a source “{name}” has a snapshot here.")
    page = component_page(snapshot, source, asked)
    built_in = snapshot.clustering(f"features/{name}", 0)
    values = {"snapshot": snapshot, "page": page, "features": built_in}
    data = {"snapshot": provenance(snapshot), "page": asdict(page)}
    return Page("components.html", f"{page.show} components of {name}", values, data)


def not_found(message: str) -> Page:
    """Return the page that says there is nothing here."""
    values = {"message": message, "heading": "Nothing here"}
    return Page("problem.html", "Not found", values, {"error": message}, status=404)


def failure(message: str) -> Page:
    """Return the page that says that something went wrong on our side."""
    values = {"message": message, "heading": "This did not work"}
    return Page("problem.html", "Error", values, {"error": message}, status=500)


def provenance(snapshot: LoadedSnapshot) -> dict[str, Any]:
    """Return where a snapshot comes from, and what it counted."""
    manifest = snapshot.manifest
    named = ("run", "run_id", "identity", "snapshot", "final", "content", "created", "chains")
    return {
        **{name: getattr(manifest, name) for name in named},
        "absent": list(snapshot.absent),
        "tokens": snapshot.tokens,
        "rows": snapshot.rows,
        "refused": snapshot.refused,
        "dead_letters": [asdict(letter) for letter in manifest.dead_letters],
        "about": manifest.about,
    }


def _no_slash(snapshot: LoadedSnapshot, name: str | None) -> Page | Moved:
    """Send a list's address without its last slash to the list."""
    run = snapshot.manifest.run
    if not name:
        return Moved(addresses.run_address(run))
    if snapshot.clustering(name, 0):
        return Moved(addresses.clustering_address(run, name))
    clustering, _, label = name.rpartition("/")
    return not_found(f"Run “{run}” has no cluster “{label}” in “{clustering}”.")


def _list_page(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, asked: Mapping[str, str]
) -> Page:
    listing = make_listing(snapshot, clustering, query_of(asked))
    values = {"snapshot": snapshot, "listing": listing, "sources": source_summaries(snapshot)}
    data = {"snapshot": provenance(snapshot), "listing": asdict(listing)}
    return Page("list.html", f"{clustering.name} · {snapshot.manifest.run}", values, data)


def _cluster_page(snapshot: LoadedSnapshot, number: int, asked: Mapping[str, str]) -> Page:
    most = ALL if asked.get("contexts") == "all" or asked.get("format") == "json" else FEW
    page = cluster_page(snapshot, number, criterion=asked.get("criterion"), most=most)
    title = f"{page.label} · {page.clustering.name} · {snapshot.manifest.run}"
    data = {"snapshot": provenance(snapshot), "cluster": asdict(page)}
    return Page("cluster.html", title, {"snapshot": snapshot, "page": page}, data)


def _small(text: str) -> bool:
    return text.isdecimal() and len(text) < 9
