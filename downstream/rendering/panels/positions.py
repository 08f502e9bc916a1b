"""The panel of positions: where in a row a cluster has its largest activation."""

from dataclasses import dataclass

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.figures import Bin
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

_MOST = 512


@dataclass(frozen=True, slots=True)
class ShownPositions:
    """Rows by the position of their largest activation, from the first position on."""

    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class PositionsPanel:
    """What the statistic ``peak_position`` says of a cluster."""

    table: str = "peak_positions"
    template: str = "panels/positions.html"

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> ShownPositions | None:
        """Return the histogram of a cluster, None for one that is never active."""
        filters = [("cluster", "==", subject.cluster)]
        rows = read_table(snapshot.manifest, self.table, filters=filters).slice(0, _MOST)
        found = {}
        for row in rows.to_pylist():
            first, stop, count = (row.get(name) for name in ("first", "stop", "rows"))
            if not all(isinstance(each, int) for each in (first, stop, count)) or first >= stop:
                raise SnapshotError("its positions make no sense")
            found[first] = Bin(first, stop, count)
        if not found:
            return None
        return ShownPositions(tuple(_without_gaps([found[first] for first in sorted(found)])))


def _without_gaps(bins: list[Bin]) -> list[Bin]:
    """Return bins from position 0 on: those that hold nothing were left out of the table."""
    shown, at = [], 0.0
    for each in bins:
        if each.left > at:
            shown.append(Bin(at, each.left, 0))
        shown.append(each)
        at = each.right
    return shown
