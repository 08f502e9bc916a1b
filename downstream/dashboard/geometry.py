"""Geometry on a run's first page: how active directions are spread, from its attachment."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from downstream.derived.geometry import DIRECTION_GEOMETRY, HOOK_SPECTRUM
from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedSnapshot
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import TableForm

_MOST = 256
_COLUMNS = ("participation_ratio", "effective_rank", "anisotropy")


@dataclass(frozen=True, slots=True)
class Spread:
    """How something is spread over dimensions.

    of: a source or a hook. domain: "" for the run. dimensions: that there are.
    """

    of: str
    domain: str
    dimensions: int
    participation_ratio: float
    effective_rank: float
    anisotropy: float


@dataclass(frozen=True, slots=True)
class ShownGeometry:
    """Active directions by source and domain, and the values of hooks. problem: why there is none.

    Both empty where nothing is attached.
    """

    directions: tuple[Spread, ...] = ()
    hooks: tuple[Spread, ...] = ()
    problem: str = ""


def shown_geometry(snapshot: LoadedSnapshot) -> ShownGeometry:
    """Return the geometry that is attached to a snapshot; read once for each attachment."""
    for attached in attachments_of(snapshot).now():
        if attached.kind == "geometry":
            return snapshot.once(("geometry", attached.hash), partial(_read, attached))
    return ShownGeometry()


def _read(attached: AttachmentManifest) -> ShownGeometry:
    try:
        directions = tuple(_spreads(attached, DIRECTION_GEOMETRY, "source"))
        return ShownGeometry(directions, tuple(_spreads(attached, HOOK_SPECTRUM, "hook")))
    except SnapshotError:
        return ShownGeometry(problem="The attached geometry cannot be read.")


def _spreads(attached: AttachmentManifest, form: TableForm, of: str) -> Iterator[Spread]:
    """Yield the rows of a table, those of a whole run before those of its domains."""
    entry = find_entry(attached.tables, form.name)
    if entry is None or not entry.schema.equals(form.schema):
        raise SnapshotError(f"it has no table {form.name!r} of the form that this program knows")
    rows = read_table(attached, form.name).slice(0, _MOST).to_pylist()
    for row in sorted(rows, key=lambda row: (row[of], row.get("scope") == "domain")):
        yield Spread(
            row[of],
            row.get("domain", ""),
            len(row["eigenvalues"]),
            *(_finite(row[name]) for name in _COLUMNS),
        )


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise SnapshotError("it holds numbers that are not finite")
    return float(value)
