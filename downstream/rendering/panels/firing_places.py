"""The panel of places: the first and the last row of the corpus in which a cluster is active."""

from dataclasses import dataclass

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

_PLACE = ("partition", "sequence", "row")


@dataclass(frozen=True, slots=True)
class RowPlace:
    """Where a row stands in the corpus. sequence: its batch."""

    partition: int
    sequence: int
    row: int


@dataclass(frozen=True, slots=True)
class ShownPlaces:
    """The first and the last row, in the order of the corpus."""

    first: RowPlace
    last: RowPlace


@dataclass(frozen=True, slots=True)
class FiringPlacesPanel:
    """What the statistic ``place`` says of a cluster."""

    table: str = "firing_places"
    template: str = "panels/firing_places.html"

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> ShownPlaces | None:
        """Return the places of a cluster, None for one that is never active."""
        filters = [("cluster", "==", subject.cluster)]
        rows = read_table(snapshot.manifest, self.table, filters=filters).slice(0, 1).to_pylist()
        if not rows:
            return None
        numbers = {
            end: [rows[0].get(f"{end}_{name}") for name in _PLACE] for end in ("first", "last")
        }
        if not all(type(n) is int and n >= 0 for each in numbers.values() for n in each):
            raise SnapshotError("its places make no sense")
        return ShownPlaces(RowPlace(*numbers["first"]), RowPlace(*numbers["last"]))
