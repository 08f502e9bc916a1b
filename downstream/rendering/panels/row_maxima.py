"""The panel of row maxima: a histogram of a cluster's largest activation in each row."""

from dataclasses import dataclass

import numpy as np

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.figures import Bin, display_bins
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table


@dataclass(frozen=True, slots=True)
class ShownRowMaxima:
    """Rows by their largest activation."""

    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class RowMaximaPanel:
    """What the statistic ``row_maximum`` says of a cluster."""

    table: str = "row_maxima"
    template: str = "panels/row_maxima.html"

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> ShownRowMaxima | None:
        """Return the histogram of a cluster, None for one that is never active."""
        filters = [("cluster", "==", subject.cluster)]
        rows = read_table(snapshot.manifest, self.table, filters=filters).slice(0, 1).to_pylist()
        if not rows:
            return None
        counts = np.asarray(rows[0]["histogram"] or [], np.int64)
        edges = snapshot.edges
        if len(counts) != len(edges) + 1 or (counts < 0).any():
            raise SnapshotError("its row maxima do not fit the bins of the run")
        low, high = (float(each[subject.cluster]) for each in (snapshot.low, snapshot.high))
        return ShownRowMaxima(display_bins(counts, edges, low, high))
