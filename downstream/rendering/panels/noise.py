"""The panel of noise robustness: what noise on the hook's value does to a feature."""

import math
from dataclasses import dataclass
from typing import Any

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

_MOST = 8


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """A size of noise, and what it does.

    flipped: share of the feature's firings at which it goes silent. gained_tokens: at which it
    begins to fire. jaccard: of the sets of the source's active features, mean over tokens; None
    where the snapshot does not say.
    """

    size: float
    flipped: float
    gained_tokens: int
    mean_change: float
    jaccard: float | None


@dataclass(frozen=True, slots=True)
class ShownNoise:
    """What the panel shows, the smallest noise first."""

    levels: tuple[NoiseLevel, ...]


@dataclass(frozen=True, slots=True)
class NoisePanel:
    """What the statistic ``noise_robustness`` says of a feature."""

    table: str = "noise_robustness"
    template: str = "panels/noise.html"

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> ShownNoise | None:
        """Return the levels of a feature, None for clusters of several and features without."""
        if subject.feature is None:
            return None
        number = subject.feature.number
        rows = read_table(snapshot.manifest, self.table, filters=[("feature", "==", number)])
        levels = rows.slice(0, _MOST).to_pylist()
        if not levels:
            return None
        jaccards = _jaccards(snapshot, subject.feature.source)
        return ShownNoise(tuple(_level(row, jaccards) for row in levels))


def _jaccards(snapshot: LoadedSnapshot, source: str) -> dict[float, float]:
    """Return the mean Jaccard index of a source's sets by size of noise."""
    if snapshot.manifest.table("noise_sets") is None:
        return {}
    rows = read_table(snapshot.manifest, "noise_sets", filters=[("source", "==", source)])
    return {
        _number(row, "size"): _number(row, "jaccard") for row in rows.slice(0, _MOST).to_pylist()
    }


def _level(row: dict[str, Any], jaccards: dict[float, float]) -> NoiseLevel:
    size = _number(row, "size")
    return NoiseLevel(
        size,
        _number(row, "flipped"),
        int(_number(row, "gained_tokens")),
        _number(row, "mean_change"),
        jaccards.get(size),
    )


def _number(row: dict[str, Any], name: str) -> float:
    value = row.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise SnapshotError(f"it has no number {name!r}")
    return value
