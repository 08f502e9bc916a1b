"""The panel of activation by position: how often, and how strongly, along a row."""

from dataclasses import dataclass
from typing import Any

from downstream.rendering import formats
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.figures import Step
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

_TOKENS = "tokens_by_position"
_MOST = 4096


@dataclass(frozen=True, slots=True)
class ShownActivation:
    """Activation density by position, from the first position on."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ActivationByPositionPanel:
    """What the statistic ``position`` says of a cluster."""

    table: str = "activation_by_position"
    template: str = "panels/activation_by_position.html"

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> ShownActivation | None:
        """Return the density of a cluster in each bin, None for one that is never active."""
        filters = [("cluster", "==", subject.cluster)]
        rows = read_table(snapshot.manifest, self.table, filters=filters).slice(0, _MOST)
        found = {row["first"]: row for row in rows.to_pylist()}
        if not found:
            return None
        bins = snapshot.once(("tokens by position", snapshot.name), lambda: _tokens(snapshot))
        if not found.keys() <= {first for first, _, _ in bins}:
            raise SnapshotError("its positions do not fit those of the run")
        unit = 2.0 ** -int(snapshot.about["sum_bits"])
        return ShownActivation(tuple(_step(each, found.get(each[0]), unit) for each in bins))


def _tokens(snapshot: LoadedSnapshot) -> list[tuple[int, int, int]]:
    """Return first position, the one behind the last, and valid tokens of each bin of the run."""
    rows = read_table(snapshot.manifest, _TOKENS).slice(0, _MOST).to_pylist()
    found = sorted((row["first"], row["stop"], row["tokens"]) for row in rows)
    if not all(0 <= first < stop and tokens > 0 for first, stop, tokens in found):
        raise SnapshotError("the run's positions make no sense")
    return found


def _step(each: tuple[int, int, int], row: dict[str, Any] | None, unit: float) -> Step:
    first, stop, tokens = each
    active = row["firing_tokens"] if row else 0
    if not 0 <= active <= tokens:
        raise SnapshotError("its positions do not fit those of the run")
    where = f"position {first}" if stop == first + 1 else f"positions {first} to {stop - 1}"
    title = f"{where}: active at {formats.percent(active / tokens)} of tokens"
    if row and active:
        title += f", mean activation {formats.number(row['activation_sum'] * unit / active)}"
    return Step(first, stop, active / tokens, title)
