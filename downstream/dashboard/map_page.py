"""The page of maps: features by decoder direction, and co-activation of clusters."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from downstream.dashboard.json_form import provenance
from downstream.dashboard.labels import Marks, marks_of
from downstream.dashboard.pages import Json, Moved, Page, not_found
from downstream.dashboard.pair_map import pair_map
from downstream.dashboard.point_map import colours, point_map
from downstream.dashboard.watch import Shelf
from downstream.rendering import addresses
from downstream.rendering.data import LoadedClustering, LoadedSnapshot


def map_page(shelf: Shelf, raw_path: str, asked: Mapping[str, str]) -> Page | Moved:
    """Return the maps of a clustering by the address as it came in."""
    run, name, label = addresses.parse(raw_path, addresses.MAPS)
    snapshot = shelf.find(run) if run else None
    if snapshot is None:
        return not_found(f"No run named “{run}” has a snapshot here.")
    wanted = asked.get("iteration", "0")
    iteration = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 9 else -1
    clustering = snapshot.clustering(name, iteration) if name else snapshot.clusterings[0]
    if label is None and clustering is None:
        return not_found(f"Run “{run}” has no clustering “{name}” (iteration {iteration}).")
    if clustering is None or label is not None:
        whole = "/".join(part for part in (name, label or "") if part)
        there = snapshot.clustering(whole, iteration)
        if there is None:
            return not_found(f"Run “{run}” has no clustering “{whole}” (iteration {iteration}).")
        return Moved(addresses.map_address(run, there.name, there.iteration))
    marks = marks_of(shelf.written(run), snapshot, clustering)
    colour = asked.get("colour", "density")
    values: dict[str, Any] = {
        "snapshot": snapshot,
        "run": run,
        "here": clustering,
        "colours": colours(snapshot) if clustering.noun == "feature" else {},
        "colour": colour,
    }
    data = partial(map_form, snapshot, run, clustering, colour, marks)
    return Page("map.html", f"Maps of {clustering.name} · {run}", values, data)


def map_form(
    snapshot: LoadedSnapshot, run: str, clustering: LoadedClustering, colour: str, marks: Marks
) -> Json:
    """Return what the maps show as plain data; null for one that there is not."""
    points = point_map(snapshot, clustering, colour, marks)
    pairs = snapshot.once(
        ("pair map", run, clustering.first), partial(pair_map, snapshot, run, clustering)
    )
    labels = None
    if points is not None:
        every = snapshot.labels[clustering.first : clustering.stop].to_pylist()
        names = [str(every[number]) for number in points.number]
        labels = names if names != list(map(str, points.number)) else None
    return {
        "snapshot": provenance(snapshot),
        "points": points and {**asdict(points), "labels": labels},
        "pairs": pairs and asdict(pairs),
    }
