"""The panel of scores: of a label, or of the feature without one, on held-out contexts."""

from dataclasses import dataclass
from math import isfinite, nan

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table


@dataclass(frozen=True, slots=True)
class ShownScore:
    """A score with the ends of its interval. shuffled: with another label, None if not tried.

    active, silent: contexts it is from, hard of the silent ones.
    """

    value: float
    low: float
    high: float
    shuffled: float | None
    active: int
    silent: int
    hard: int


@dataclass(frozen=True, slots=True)
class ScorePanel:
    """Scores of one kind: intruder, embedding, detection or fuzzing."""

    kind: str
    template: str = "panels/score.html"

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> ShownScore | None:
        """Return the score of a cluster, None if it has none."""
        name = f"{self.kind}_scores"
        wanted = ("interval", "active", "silent", "hard", self.kind)
        entry = find_entry(attached.tables, name)
        if entry is None or not {"cluster", *wanted} <= {each.name for each in entry.columns}:
            raise SnapshotError(f"it has no table {name!r} of the form that this program knows")
        rows = read_table(attached, name, filters=[("cluster", "==", subject.cluster)]).to_pylist()
        if not rows:
            return None
        (row,) = rows
        numbers = (row[self.kind], *row["interval"])
        shuffled = row.get(f"{self.kind}_shuffled", nan)
        if len(numbers) != 3 or not all(map(isfinite, numbers)):
            raise SnapshotError("it holds a score without an interval, or one that is not finite")
        return ShownScore(
            *numbers,
            shuffled if isfinite(shuffled) else None,
            row["active"],
            row["silent"],
            row["hard"],
        )
