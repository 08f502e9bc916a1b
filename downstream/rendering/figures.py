"""Geometry of the drawings: page templates turn it into SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from downstream.rendering import formats
from streams.arrays import AnyArray

WIDTH, HEIGHT = 320.0, 96.0
_CORNER = 48.0  # of the width, which the text of the highest bar takes


@dataclass(frozen=True, slots=True)
class Bin:
    """How many tokens have an activity from ``left`` up to ``right``."""

    left: float
    right: float
    count: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a drawing, with the words that explain it."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Step:
    """A share, 0 to 1, from ``left`` up to ``right``, with the words that explain it."""

    left: float
    right: float
    share: float
    title: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Bars over an axis of ticks (place, text); the highest bar stands for ``top``, a text."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    top: str
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def top_on_right(self) -> bool:
        """Whether the right corner has more room than the left for what ``top`` says."""
        right = self.width - _CORNER
        in_left = max((bar.height for bar in self.bars if bar.x < _CORNER), default=0.0)
        in_right = max((bar.height for bar in self.bars if bar.x + bar.width > right), default=0.0)
        return in_right < in_left


def display_bins(
    counts: AnyArray, edges: Sequence[float], low: float, high: float, most: int = 32
) -> tuple[Bin, ...]:
    """Return the bins that hold something and those between, joined until at most ``most``.

    The bin below the first edge begins at ``low`` (NaN if nobody knows), the last ends at ``high``.
    """
    filled = np.flatnonzero(counts)
    if not len(filled):
        return ()
    first, stop = int(filled[0]), int(filled[-1]) + 1
    bounds = [min(edges[0], low), *edges, max(high, edges[-1])]  # the edge where low is NaN
    step = math.ceil((stop - first) / most)
    return tuple(
        Bin(bounds[at], bounds[min(at + step, stop)], int(counts[at : min(at + step, stop)].sum()))
        for at in range(first, stop, step)
    )


def quantile(bins: Sequence[Bin], share: float) -> Bin | None:
    """Return the bin in which a quantile lies."""
    wanted = share * sum(each.count for each in bins)
    seen = 0
    for each in bins:
        seen += each.count
        if seen >= wanted:
            return each
    return None


def histogram(bins: Sequence[Bin], noun: str = "token") -> Drawing:
    """Return the drawing of bins, on a logarithmic axis where all bounds allow it."""
    if not bins:
        return Drawing((), (), "0")
    axis = _axis(bins[0].left, bins[-1].right)
    top = max(each.count for each in bins)
    bars = tuple(_bar(each, axis, top, noun) for each in bins)
    return Drawing(bars, _ticks(axis), formats.count(top))


def steps(given: Sequence[Step]) -> Drawing:
    """Return the drawing of shares over a linear axis."""
    if not given:
        return Drawing((), (), "0 %")
    axis = _Axis(given[0].left, given[-1].right, logarithmic=False)
    top = max(each.share for each in given)
    bars = tuple(
        _rectangle(axis, each.left, each.right, each.share / (top or 1.0), each.title)
        for each in given
    )
    return Drawing(bars, _ticks(axis), formats.percent(top))


def density_histogram(densities: AnyArray, noun: str, most: int = 30) -> Drawing:
    """Return how many clusters fire how often; those that never do are left out."""
    logs = np.log10(densities[densities > 0])
    if not len(logs):
        return Drawing((), (), "0")
    first, last = math.floor(2 * logs.min()) / 2, max(math.ceil(2 * logs.max()) / 2, -6.5)
    counts, bounds = np.histogram(logs, bins=most, range=(first, max(last, first + 0.5)))
    cuts = [float(10**bound) for bound in bounds]
    bins = [Bin(cuts[i], cuts[i + 1], int(counts[i])) for i in range(most)]
    drawing = histogram([Bin(100 * b.left, 100 * b.right, b.count) for b in bins], noun)
    ticks = tuple((place, f"{text} %") for place, text in drawing.ticks)
    return Drawing(drawing.bars, ticks, drawing.top)


def sparkline(counts: Sequence[int], width: int = 96, height: int = 22, most: int = 32) -> str:
    """Return the path of a small filled outline of counts, joined until at most ``most``."""
    step = math.ceil(len(counts) / most) or 1
    joined = [sum(counts[at : at + step]) for at in range(0, len(counts), step)]
    top = max(joined, default=0)
    if not top:
        return ""
    steps = zip(joined, _steps(width, len(joined)), strict=True)
    path = [
        f"{left} {round(height - height * value / top, 1):g}{right}"
        for value, (left, right) in steps
    ]
    return "".join([f"M0 {height}", *path, f"V{height}Z"])


@lru_cache(64)
def _steps(width: int, count: int) -> tuple[tuple[str, str], ...]:
    """Return how the path goes to each of some bars, and along it."""
    places = [f"{width * at / count:.4g}" for at in range(count + 1)]
    return tuple((f"L{left}", f"H{right}") for left, right in pairwise(places))


@dataclass(frozen=True, slots=True)
class _Axis:
    left: float
    right: float
    logarithmic: bool

    def _turn(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value

    def place(self, value: float) -> float:
        """Return where a value lies on the drawing."""
        left, right = self._turn(self.left), self._turn(self.right)
        return round(WIDTH * (self._turn(value) - left) / ((right - left) or 1.0), 2)

    def ticks(self) -> list[float]:
        """Return up to six round values on the axis."""
        if not self.logarithmic:
            return [self.left, (self.left + self.right) / 2, self.right]
        decades = range(math.floor(math.log10(self.left)), math.ceil(math.log10(self.right)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [step * 10.0**ten for ten in decades for step in steps]
            inside = [at for at in found if self.left <= at <= self.right]
            if len(inside) < 2:
                return [self.left, self.right]
            if len(inside) <= 6:
                return inside
        return inside[:: math.ceil(len(inside) / 6)]


def _ticks(axis: _Axis) -> tuple[tuple[float, str], ...]:
    return tuple((axis.place(at), formats.short(at)) for at in axis.ticks())


def _axis(left: float, right: float) -> _Axis:
    return _Axis(left, right, logarithmic=left > 0)


def _bar(each: Bin, axis: _Axis, top: int, noun: str) -> Bar:
    title = (
        f"{formats.number(each.left)} to {formats.number(each.right)}: "
        f"{formats.plural(each.count, noun)}"
    )
    return _rectangle(axis, each.left, each.right, each.count / (top or 1), title)


def _rectangle(axis: _Axis, begin: float, end: float, share: float, title: str) -> Bar:
    """Return a bar of a share of the height, seen wherever it is not 0."""
    height = max(1.0 if share else 0.0, HEIGHT * share)
    left, right = axis.place(begin), axis.place(end)
    return Bar(left, round(HEIGHT - height, 2), max(right - left, 1.0), round(height, 2), title)
