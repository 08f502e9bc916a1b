"""The 2-D map of a source's features, from the attachment ``feature_map``, coloured by a number."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from downstream.dashboard.columns import MAP, columns_of, values_of
from downstream.dashboard.labels import Marks
from downstream.reading.token_text import readable
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from streams.arrays import F64, I64

LEVELS = 16
STEPS = 2**14
"""Places along an axis: finer than any screen, and short as text."""

WRITTEN = "written"
"""The colour that tells labelled and starred features from the rest."""


@dataclass(frozen=True, slots=True)
class PointMap:
    """The features that have a place. Lists have one entry per point.

    number: in the clustering. x, y: 0 to STEPS, of the span. level: of the colour, 1 to LEVELS, 0
    where nothing is known. token: which of ``texts`` most of its examples peak at, -1 for none.
    names: what people call points, by their place in the lists. low, high: the number of the
    lowest and of the highest level. logarithmic: levels are even in its logarithm.
    """

    number: list[int]
    x: list[int]
    y: list[int]
    span_x: tuple[float, float]
    span_y: tuple[float, float]
    level: list[int]
    token: list[int]
    texts: list[str]
    names: dict[int, str]
    colour: str
    low: float
    high: float
    logarithmic: bool


def colours(snapshot: LoadedSnapshot) -> Mapping[str, str]:
    """Return the titles of what points can be coloured by."""
    named = {n: c.title for n, c in columns_of(snapshot).items() if n not in MAP}
    return {**named, WRITTEN: "Labels and stars"}


def point_map(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, colour: str, marks: Marks
) -> PointMap | None:
    """Return the map of a clustering's features, None where there is none."""
    columns = columns_of(snapshot)
    if not all(name in columns for name in MAP):
        return None
    span = slice(clustering.first, clustering.stop)
    x, y = (values_of(snapshot, columns[name])[span] for name in MAP)
    placed = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(placed):
        return None
    colour = colour if colour in colours(snapshot) else "density"
    if colour == WRITTEN:
        values = np.zeros(len(x))
        values[[*marks.of]] = 1.0
    else:
        values = values_of(snapshot, columns[colour])[span].astype(float)
    level, low, high = levels(values[placed], logarithmic=colour == "density")
    token, texts = snapshot.once(("top tokens", clustering.first), partial(_top, snapshot, span))
    at = {int(number): place for place, number in enumerate(placed)}
    return PointMap(
        number=placed.tolist(),
        x=_steps(x[placed]),
        y=_steps(y[placed]),
        span_x=(float(x[placed].min()), float(x[placed].max())),
        span_y=(float(y[placed].min()), float(y[placed].max())),
        level=level.tolist(),
        token=token[placed].tolist(),
        texts=texts,
        names={at[n]: one.label for n, one in marks.of.items() if one.label and n in at},
        colour=colour,
        low=low,
        high=high,
        logarithmic=colour == "density",
    )


def levels(values: F64, *, logarithmic: bool) -> tuple[I64, float, float]:
    """Return the level of each value, 1 to LEVELS, and the values of the lowest and highest level.

    Values that are not known are at level 0, and so are those that have no logarithm. The outermost
    hundredth of the rest shares the outermost levels, so that a single one does not take all room.
    """
    known = np.isfinite(values) & ((values > 0) | (not logarithmic))
    found = np.zeros(len(values), np.int64)
    if not known.any():
        return found, 0.0, 0.0
    shown = np.log10(values[known]) if logarithmic else values[known]
    low, high = np.quantile(shown, [0.01, 0.99])
    if low == high:
        low, high = float(shown.min()), float(shown.max())
    share = (shown - low) / ((high - low) or 1.0)
    found[known] = 1 + np.rint(np.clip(share, 0, 1) * (LEVELS - 1)).astype(np.int64)
    ends = (10**low, 10**high) if logarithmic else (low, high)
    return found, float(ends[0]), float(ends[1])


def _steps(values: F64) -> list[int]:
    low, wide = values.min(), np.ptp(values) or 1.0
    found: list[int] = np.rint((values - low) / wide * STEPS).astype(int).tolist()
    return found


def _top(snapshot: LoadedSnapshot, span: slice) -> tuple[I64, list[str]]:
    """Return the token at which most examples of each cluster peak, -1 for clusters without, as
    places in a list of texts."""
    index = snapshot.examples
    ours = slice(int(index.first[span.start]), int(index.first[span.stop]))
    cluster = index.cluster[ours].astype(np.int64) - span.start
    pair, count = np.unique(cluster * 2**32 + index.token[ours], return_counts=True)
    order = np.argsort(count, kind="stable")  # the last that is written stays
    found = np.full(span.stop - span.start, -1, np.int64)
    found[pair[order] >> 32] = pair[order] & (2**32 - 1)
    known, token = np.unique(found[found >= 0], return_inverse=True)
    found[found >= 0] = token
    return found, [_text(snapshot, int(one)) for one in known]


def _text(snapshot: LoadedSnapshot, token: int) -> str:
    raw = snapshot.row_bytes([token, token, token])[1]
    return "".join(piece.text for piece in readable([raw])[0])
