"""From a request's address to a page: the model, and the template that shows it."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

import numpy as np

from downstream.dashboard.columns import columns_of
from downstream.dashboard.components import component_page, source_summaries
from downstream.dashboard.concepts import Concept
from downstream.dashboard.copying import markdown
from downstream.dashboard.domains import domain_names
from downstream.dashboard.geometry import shown_geometry
from downstream.dashboard.json_form import cluster_form, component_form, list_form, runs_form
from downstream.dashboard.labels import Marks, marks_of
from downstream.dashboard.list_query import Query, query_of
from downstream.dashboard.listing import make_listing, matching
from downstream.dashboard.paging import PAGE, CursorError, number_of, start_of
from downstream.dashboard.problems import said, sentence
from downstream.dashboard.watch import Shelf
from downstream.rendering import addresses
from downstream.rendering.cluster import FEW, cluster_page
from downstream.rendering.cluster_values import cluster_values
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.figures import density_histogram
from streams.arrays import I64
from streams.errors import SnapshotError
from streams.snapshots.annotations import ClusterAnnotations

ALL = 100_000
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """What to show: a template with its values, and how the same is made as plain data.

    markdown: how it is made as Markdown, of the site's address. snippet: the template of HTML to be
    pasted. embeddable: pages of origins that the server names may show it in a frame.
    """

    template: str
    title: str
    values: dict[str, Any]
    data: Callable[[], Json]
    status: int = 200
    markdown: Callable[[str], str] | None = None
    snippet: str = ""
    embeddable: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """The page is at another address, always or this once."""

    address: str
    for_good: bool = True


def home(shelf: Shelf, asked: Mapping[str, str], concept: Concept | None = None) -> Page | Moved:
    """Return the list of runs, or the page of the only one. concept: see ``run_path``."""
    if len(shelf.snapshots) == 1 and len(shelf.listed) < 2:
        ((run, snapshot),) = shelf.snapshots.items()
        return _list_page(shelf, snapshot, run, snapshot.clusterings[0], asked, concept)
    return overview(shelf)


def overview(shelf: Shelf) -> Page:
    """Return the list of all runs and their snapshots."""
    return Page("runs.html", "Runs", {}, partial(runs_form, shelf))


def run_path(
    shelf: Shelf, raw_path: str, asked: Mapping[str, str], concept: Concept | None = None
) -> Page | Moved:
    """Return the page of a run, a clustering or a cluster by its address as it came in.

    concept: what the search asks for by concept, as a model service embeds it.
    """
    run, name, label = addresses.parse(raw_path)
    if not run:
        return overview(shelf)
    snapshot = shelf.find(run)
    if snapshot is None:
        return not_found(f"No run named “{run}” has a snapshot here.")
    if not name:
        if label is not None or not raw_path.endswith("/"):
            return _no_slash(snapshot, run, label)
        return _list_page(shelf, snapshot, run, snapshot.clusterings[0], asked, concept)
    iteration = asked.get("iteration", "0")
    clustering = snapshot.clustering(name, int(iteration) if _small(iteration) else -1)
    if clustering and label is None:
        return _list_page(shelf, snapshot, run, clustering, asked, concept)
    if clustering is None and label is None:
        return _one_slash_less(shelf, raw_path, asked)
    number = snapshot.find(clustering, label) if clustering and label is not None else None
    if number is not None:
        return _cluster_page(shelf, snapshot, run, number, asked, concept)
    return _no_slash(snapshot, run, f"{name}/{label}")


def components(shelf: Shelf, run: str, name: str, asked: Mapping[str, str]) -> Page:
    """Return the dead or dropped components of a source."""
    snapshot = shelf.find(run)
    sources = source_summaries(snapshot) if snapshot else ()
    source = next((source for source in sources if source.name == name), None)
    if snapshot is None or source is None:
        return not_found(f"No run “{run}” with a source “{name}” has a snapshot here.")
    page = component_page(snapshot, source, asked)
    built_in = snapshot.clustering(f"features/{name}", 0)
    values = {"snapshot": snapshot, "run": run, "page": page, "features": built_in}
    data = partial(component_form, snapshot, page)
    return Page("components.html", f"{page.show} components of {name}", values, data)


def not_found(message: str) -> Page:
    """Return the page that says there is nothing here."""
    values = {"message": message, "heading": "Nothing here"}
    return Page("problem.html", "Not found", values, lambda: {"error": message}, status=404)


def refusal(message: str, status: int) -> Page:
    """Return the page that says that something cannot be asked."""
    values = {"message": message, "heading": "This cannot be asked"}
    return Page("problem.html", "Refused", values, lambda: {"error": message}, status=status)


def failure(message: str, status: int = 500) -> Page:
    """Return the page that says that something went wrong on our side."""
    values = {"message": message, "heading": "This did not work"}
    return Page("problem.html", "Error", values, lambda: {"error": message}, status=status)


def unreadable(snapshot: LoadedSnapshot | None, error: SnapshotError) -> Page:
    """Return the page that says that a snapshot cannot be read."""
    name = snapshot.name if snapshot else "?"
    place = snapshot.manifest.store if snapshot else ""
    return failure(
        f"Snapshot {name} cannot be read: {said(error, place)}. No other snapshot of the run can "
        "be shown in its place; lists, which are in memory, still can.",
        status=503,
    )


def _one_slash_less(shelf: Shelf, raw_path: str, asked: Mapping[str, str]) -> Page | Moved:
    """Send the address of a cluster with a slash too many to the cluster."""
    run, name, _ = addresses.parse(raw_path)
    shorter = raw_path.rstrip("/")
    if isinstance(page := run_path(shelf, shorter, asked), Page) and page.status == 200:
        return Moved(f"{shorter}?{urlencode(asked)}" if asked else shorter)
    iteration = asked.get("iteration", "0")
    return not_found(f"Run “{run}” has no clustering “{name}” (iteration {iteration}).")


def _no_slash(snapshot: LoadedSnapshot, run: str, name: str | None) -> Page | Moved:
    """Send a list's address without its last slash to the list."""
    if not name:
        return Moved(addresses.run_address(run))
    if snapshot.clustering(name, 0):
        return Moved(addresses.clustering_address(run, name))
    clustering, _, label = name.rpartition("/")
    return not_found(f"Run “{run}” has no cluster “{label}” in “{clustering}”.")


def _list_page(
    shelf: Shelf,
    snapshot: LoadedSnapshot,
    run: str,
    clustering: LoadedClustering,
    asked: Mapping[str, str],
    concept: Concept | None,
) -> Page | Moved:
    try:
        start = start_of(asked, snapshot.manifest.content)
    except CursorError as error:
        return refusal(sentence(error), 400)
    columns = columns_of(snapshot)
    query = query_of(asked, columns)
    marks = marks_of(shelf.written(run), snapshot, clustering)
    if there := _gone_to(snapshot, run, clustering, query, asked.get("go", ""), marks, concept):
        return there
    listing = make_listing(snapshot, clustering, query, start, marks, concept)
    sources = snapshot.once("sources", lambda: source_summaries(snapshot))
    densities = snapshot.once(
        ("densities", clustering.first),
        lambda: density_histogram(
            snapshot.densities[clustering.first : clustering.stop], clustering.noun
        ),
    )
    geometry = shown_geometry(snapshot)
    values = {
        "snapshot": snapshot,
        "run": run,
        "geometry": geometry,
        "listing": listing,
        "sources": sources,
        "densities": densities,
        "columns": columns,
        "domains": domain_names(snapshot),
    }
    title = f"{clustering.name} · {snapshot.manifest.run}"
    return Page(
        "list.html", title, values, partial(list_form, snapshot, listing, geometry, columns)
    )


def _gone_to(
    snapshot: LoadedSnapshot,
    run: str,
    clustering: LoadedClustering,
    query: Query,
    go: str,
    marks: Marks,
    concept: Concept | None,
) -> Moved | None:
    """Send a search for a number to its feature, and "random" to any that fires in the list."""
    number = None
    if go == "find" and query.search.isdecimal():
        number = snapshot.find(clustering, query.search)
    if go == "random":
        found = matching(snapshot, clustering, query, marks, concept)
        alive = found[snapshot.firing_tokens[found] > 0]
        number = int(random.choice(alive)) if len(alive) else None
    if number is None:
        return None
    more = query.order_address() if go == "random" else {}
    label = snapshot.label(number)
    name, iteration = clustering.name, clustering.iteration
    return Moved(addresses.cluster_address(run, name, iteration, label, **more), for_good=False)


def _cluster_page(
    shelf: Shelf,
    snapshot: LoadedSnapshot,
    run: str,
    number: int,
    asked: Mapping[str, str],
    concept: Concept | None,
) -> Page:
    limit = min(number_of(asked.get("limit", ""), FEW), ALL)
    most = ALL if asked.get("contexts") == "all" else limit
    query = replace(query_of(asked, columns_of(snapshot)), page=1, limit=PAGE)
    ranking, fold = asked.get("ranking"), asked.get("fold") == "1"
    page = cluster_page(snapshot, number, ranking=ranking, most=most, fold=fold)
    here = page.clustering
    marks = marks_of(shelf.written(run), snapshot, here)
    if query != Query():
        before, after = _beside(snapshot, matching(snapshot, here, query, marks, concept), number)
        page = replace(page, previous=before, next=after)
    written = marks.of.get(number - here.first, ClusterAnnotations())
    pinned = f"{snapshot.manifest.run}@{snapshot.name}"
    permanent = addresses.cluster_address(pinned, here.name, here.iteration, page.label)
    order, names = query.order_address(), shelf.written(run)
    shown = cluster_values(snapshot, run, page, written, names, order)
    elsewhere = tuple(_elsewhere(shelf, snapshot, here, page.label))
    embedded = asked.get("embed") == "1"
    return Page(
        template="embed.html" if embedded else "cluster.html",
        title=shown["title"],
        values={**shown, "permanent": permanent, "elsewhere": elsewhere},
        data=partial(cluster_form, snapshot, page, written, shown["made"], shown["panels"]),
        markdown=lambda site: markdown(snapshot, page, shown["called"], f"{site}{permanent}"),
        snippet="snippet.html",
        embeddable=embedded,
    )


def _elsewhere(
    shelf: Shelf, snapshot: LoadedSnapshot, here: LoadedClustering, label: str
) -> Iterator[tuple[str, str]]:
    """Yield name and address of a cluster in the other snapshots of its run that list it."""
    run = snapshot.manifest.run
    for manifest in shelf.listed.get(run, ()):
        listed = ((c["name"], c.get("iteration", 0)) for c in manifest.about.get("clusterings", ()))
        if manifest.snapshot != snapshot.name and (here.name, here.iteration) in listed:
            key = f"{run}@{manifest.snapshot}"
            yield (
                manifest.snapshot,
                addresses.cluster_address(key, here.name, here.iteration, label),
            )


def _beside(snapshot: LoadedSnapshot, found: I64, number: int) -> tuple[str | None, str | None]:
    """Return the labels before and after a cluster in the order of a list."""
    at = np.flatnonzero(found == number)
    if not len(at):
        return None, None
    before, after = int(at[0]) - 1, int(at[0]) + 1
    return (
        snapshot.label(int(found[before])) if before >= 0 else None,
        snapshot.label(int(found[after])) if after < len(found) else None,
    )


def _small(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 9
