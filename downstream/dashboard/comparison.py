"""Two clusterings side by side: which clusters match, which only one of them has."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from downstream.dashboard.comparison_pairs import (
    Pairs,
    Part,
    pairs_by_coactivation,
    pairs_by_decoder,
    pairs_by_examples,
    pairs_by_label,
)
from downstream.dashboard.correlation import pairs_by_correlation
from downstream.dashboard.paging import PAGE, number_of
from downstream.derived.differences import differing
from downstream.rendering.cluster import ClusterPage, cluster_page
from downstream.rendering.coactivation import Neighbour, neighbour
from streams.arrays import F64, I64, Bool
from streams.errors import SnapshotError

By = Literal["examples", "label", "decoder", "correlation", "coactivation"]
Show = Literal["matched", "only_a", "only_b", "changed"]
Sort = Literal["score", "change"]

WAYS: Mapping[By, Callable[[Part, Part], Pairs | None]] = {
    "examples": pairs_by_examples,
    "label": pairs_by_label,
    "decoder": pairs_by_decoder,
    "correlation": pairs_by_correlation,
    "coactivation": pairs_by_coactivation,
}
_LEAST: Mapping[By, float] = {
    "examples": 0.2, "label": 0.0, "decoder": 0.7, "correlation": 0.5,
    "coactivation": 0.2,
}  # fmt: skip
_BESIDE = 10
_NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Of each cluster of A its best partner in B and the score, and of B in A. note: of scores."""

    of_a: tuple[I64, F64]
    of_b: tuple[I64, F64]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a comparison is asked for. least: the score from which on two clusters match.

    sort: by score, the most alike first, or by the change of activation density.
    """

    by: By = "examples"
    show: Show = "matched"
    sort: Sort = "score"
    up: bool = False
    least: float = 0.0
    page: int = 1


@dataclass(frozen=True, slots=True)
class Sided:
    """A cluster of one side with its numbers. number: in its clustering."""

    number: int
    link: Neighbour
    density: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """A cluster of A and its match in B, or one that only one side has.

    mutual: each is the other's best match.
    """

    a: Sided | None
    b: Sided | None
    score: float | None
    mutual: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A page of a comparison. matched, only_a, only_b: how many clusters that fire are so.

    mutual: how many pairs are each other's best match. notes: what makes the two sides differ.
    problem: why there are no matches. looked_at: what the scores are of, where they are sampled.
    """

    a: Part
    b: Part
    asked: Asked
    matched: int
    mutual: int
    only_a: int
    only_b: int
    rows: tuple[Row, ...]
    pages: int
    notes: tuple[str, ...]
    problem: str = ""
    looked_at: str = ""


def asked_of(asked: Mapping[str, str]) -> Asked:
    """Return what an address asks; what makes no sense counts as not said."""
    ways: dict[str, By] = {name: name for name in get_args(By)}
    shows: dict[str, Show] = {name: name for name in get_args(Show)}
    sorts: dict[str, Sort] = {name: name for name in get_args(Sort)}
    by = ways.get(asked.get("by", ""), "examples")
    try:
        least = float(asked.get("least", "")[:40])
    except ValueError:
        least = math.nan
    return Asked(
        by=by,
        show=shows.get(asked.get("show", ""), "matched"),
        sort=sorts.get(asked.get("sort", ""), "score"),
        up=asked.get("up") == "1",
        least=least if math.isfinite(least) else _LEAST[by],
        page=number_of(asked.get("page", ""), 1),
    )


def compared(a: Part, b: Part, asked: Asked) -> Comparison:
    """Return a page of the comparison of two clusterings."""
    notes, problem = differing(a.snapshot.manifest, b.snapshot.manifest), ""
    matches: Matches | None = None
    try:
        matches = _matches(asked.by, a, b)
    except SnapshotError:
        problem = "What says so cannot be read."
    if matches is None:
        problem = problem or _MISSING.get(asked.by, "")
        matches = _best(_NO_PAIRS, a, b)
    (to_b, score_a), (to_a, score_b) = matches.of_a, matches.of_b
    lives_a, lives_b = _fires(a), _fires(b)
    in_a = lives_a & (to_b >= 0) & (score_a >= asked.least)
    in_b = lives_b & (to_a >= 0) & (score_b >= asked.least)
    mutual = in_a & (to_a[to_b] == np.arange(a.size)) if b.size else in_a
    none = np.zeros(a.size, bool)
    chosen = {
        "matched": in_a, "only_a": lives_a & ~in_a, "only_b": lives_b & ~in_b, "changed": none
    }[asked.show]  # fmt: skip
    found = _ordered(a, b, asked, np.flatnonzero(chosen), to_b, score_a)
    pages = max(1, -(-len(found) // PAGE))
    page = min(asked.page, pages)
    shown = found[(page - 1) * PAGE : page * PAGE].tolist()
    if asked.show == "only_b":
        rows = [Row(None, _sided(b, n), _score(to_a, score_b, n), mutual=False) for n in shown]
    elif asked.show == "only_a":
        rows = [Row(_sided(a, n), None, _score(to_b, score_a, n), mutual=False) for n in shown]
    else:
        rows = [
            Row(_sided(a, n), _sided(b, int(to_b[n])), float(score_a[n]), mutual=bool(mutual[n]))
            for n in shown
        ]
    counts = (int(each.sum()) for each in (in_a, mutual, lives_a & ~in_a, lives_b & ~in_b))
    matched, both, only_a, only_b = counts
    return Comparison(
        a=a,
        b=b,
        asked=replace(asked, page=page),
        matched=matched,
        mutual=both,
        only_a=only_a,
        only_b=only_b,
        rows=tuple(rows),
        pages=pages,
        notes=tuple(notes),
        problem=problem,
        looked_at=matches.note,
    )


_MISSING: Mapping[By, str] = {
    "decoder": "No cosines between the two are attached: millrace derive neighbours makes them, of "
    "another run’s dictionary with --other NAME=FOLDER.",
    "correlation": "Both need the ranking shared and a final snapshot: its rows, chosen by "
    "the hash of their text, are compared token by token.",
    "coactivation": "What is active together is attached for clusterings of one run: with the "
    "ranking shared, millrace derive coactivation makes it.",
}


def side_by_side(a: Part, b: Part, left: int, right: int) -> tuple[ClusterPage, ClusterPage]:
    """Return the pages of a cluster of A and one of B, with few examples."""
    return (
        cluster_page(a.snapshot, a.clustering.first + left, most=_BESIDE),
        cluster_page(b.snapshot, b.clustering.first + right, most=_BESIDE),
    )


def _matches(by: By, a: Part, b: Part) -> Matches | None:
    """Return the best matches; those that take long are kept, of the last comparison of a
    snapshot."""
    if by in ("decoder", "coactivation"):
        pairs = WAYS[by](a, b)
        return None if pairs is None else _best(pairs, a, b)
    kept: dict[object, Matches] = a.snapshot.once("last comparison", dict)
    key = by, a.key, b.key
    found = kept.get(key)
    if found is None and (pairs := WAYS[by](a, b)) is not None:
        found = _best(pairs, a, b)
        kept.clear()
        kept[key] = found
    return found


def _best(pairs: Pairs, a: Part, b: Part) -> Matches:
    return Matches(pairs.best(a.size), pairs.best(b.size, of_b=True), pairs.note)


def _fires(part: Part) -> Bool:
    span = slice(part.clustering.first, part.clustering.stop)
    found: Bool = part.snapshot.firing_tokens[span] > 0
    return found


def _ordered(a: Part, b: Part, asked: Asked, found: I64, to_b: I64, score: F64) -> I64:
    """Return clusters of the side shown: by score, by change, or by density if unmatched."""
    if asked.show != "matched":
        part = a if asked.show == "only_a" else b
        worth = _densities(part)[found]
    elif asked.sort == "change":
        one, other = _densities(a)[found], _densities(b)[to_b[found]]
        with np.errstate(divide="ignore"):
            worth = np.abs(np.log(one) - np.log(other))
    else:
        worth = score[found]
    return found[np.argsort(worth if asked.up else -worth, kind="stable")]


def _densities(part: Part) -> F64:
    return part.snapshot.densities[part.clustering.first : part.clustering.stop]


def _score(partner: I64, score: F64, at: int) -> float | None:
    return float(score[at]) if partner[at] >= 0 else None


def _sided(part: Part, number: int) -> Sided:
    snapshot, cluster = part.snapshot, part.clustering.first + number
    link = neighbour(snapshot, cluster)
    return Sided(number, link, float(snapshot.densities[cluster]), float(snapshot.high[cluster]))
