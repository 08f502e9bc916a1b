"""Max-activating examples as pages show them: shades in steps, an excerpt around the peak."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from downstream.reading.examples import (
    Example,
    Place,
    fold_examples,
    join_examples,
    place_of,
)
from downstream.reading.silent import read_shared_rows, silent_hits
from downstream.reading.token_text import Piece, readable, visible
from downstream.rendering import formats
from downstream.rendering.data import LoadedSnapshot
from streams.errors import SnapshotError
from streams.snapshots.tables import HITS

LEVELS = 16
INTERVALS = "intervals"
BEFORE, AFTER = 18, 10
_CHARACTER = 3
"""Tokens that may hold the rest of a character."""


class Token(NamedTuple):
    """A token as shown. level: its activity in 16 steps of the cluster's highest, 0 for none.

    raw: its bytes, as they are.
    """

    position: int
    id: int
    raw: bytes
    pieces: tuple[Piece, ...]
    activity: float
    level: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A member's signed value at one position; level has its sign."""

    position: int
    value: float
    level: int


@dataclass(frozen=True, slots=True)
class MemberRow:
    """Where one member is not zero; ``strongest`` is its mark of the largest size."""

    label: str
    marks: tuple[Mark, ...]
    strongest: Mark


@dataclass(frozen=True, slots=True)
class Context:
    """A hit with its text. first to stop - 1 are the tokens around the peak, of ``length``.

    tokens: all of the row, or in a list those around the peak alone. duplicates: how many
    near-duplicates of it in the table are left out, if they are.
    """

    rank: int
    score: float
    peak: int
    sample: str
    document: str
    domain: str
    place: Place
    tokens: tuple[Token, ...]
    first: int
    stop: int
    length: int
    members: tuple[MemberRow, ...]
    duplicates: int = 0

    @property
    def excerpt(self) -> tuple[Token, ...]:
        """The tokens around the peak."""
        begin = self.tokens[0].position if self.tokens else 0
        return self.tokens[self.first - begin : self.stop - begin]


def top_contexts(
    snapshot: LoadedSnapshot, cluster: int, ranking: str, most: int, *, fold: bool = False
) -> tuple[Context, ...]:
    """Return the best contexts of a cluster, best first; raises SnapshotError.

    fold: without near-duplicates of better ones, out of all that the table has.
    """
    names = snapshot.members(cluster)
    rows = snapshot.examples.groups.rows([cluster], HITS.schema.names)
    ours = pc.equal(rows["ranking"], ranking)
    if not fold:
        ours = pc.and_(ours, pc.less(rows["rank"], most))
    hits = rows.filter(ours).sort_by("rank").to_pylist()
    found = list(join_examples(snapshot, hits, _samples(snapshot, hits)))
    shown = fold_examples(found)[:most] if fold else found
    return tuple(_context(example, names) for example in shown)


def silent_contexts(snapshot: LoadedSnapshot, cluster: int, most: int) -> tuple[Context, ...]:
    """Return contexts in which a cluster is certainly active nowhere; raises SnapshotError."""
    rows = snapshot.once("shared rows", partial(read_shared_rows, snapshot.manifest))
    hits = silent_hits(cluster, rows, rows.silent(cluster)[:most])
    names = snapshot.members(cluster)
    return tuple(
        _context(example, names)
        for example in join_examples(snapshot, hits, _samples(snapshot, hits))
    )


def interval_texts(edges: Sequence[float], contexts: Sequence[Context]) -> tuple[str, ...]:
    """Return the bin of the histogram that the score of each context lies in, as text."""
    ends = [*map(formats.number, (0.0, *edges))]
    texts = [f"{low} to {high}" for low, high in pairwise(ends)] + [f"from {ends[-1]} on"]
    return tuple(texts[bisect_right(edges, context.score)] for context in contexts)


def best_contexts(snapshot: LoadedSnapshot, clusters: Sequence[int]) -> dict[int, Context]:
    """Return the tokens around the best peak of each cluster, by the run's first ranking."""
    index = snapshot.examples
    rows = np.array([index.best_of[c] for c in clusters if index.best_of[c] >= 0], np.int64)
    hits = index.best.take(rows).to_pylist()
    return {hit["cluster"]: _best_context(snapshot, hit) for hit in hits}


def _best_context(snapshot: LoadedSnapshot, hit: dict[str, Any]) -> Context:
    text, number, peak = snapshot.text, hit["number"], hit["peak"]
    ids = text.row(number)
    first, stop = _around(peak, len(ids))
    wide = max(0, first - _CHARACTER)
    raw = snapshot.part_bytes(ids, wide, min(stop + _CHARACTER, len(ids)))
    active = dict(zip(hit["positions"], hit["activations"], strict=True))
    values = [active.get(position, 0.0) for position in range(first, stop)]
    scale = snapshot.max_activation(hit["cluster"])
    return Context(
        rank=hit["rank"],
        score=hit["score"],
        peak=peak,
        sample=text.keys[number].as_py().hex(),
        document=visible(text.documents[number].as_py()),
        domain=visible(text.domains[number].as_py()),
        place=text.places.place(number),
        tokens=_tokens(ids, raw, wide, values, first, scale),
        first=first,
        stop=stop,
        length=len(ids),
        members=(),
    )


def _samples(
    snapshot: LoadedSnapshot, hits: Sequence[dict[str, Any]]
) -> dict[Place, dict[str, Any]]:
    """Return the samples at the places of hits; every one must be there."""
    places = [place_of(hit) for hit in hits]
    numbers = snapshot.text.places.find(np.array(places, np.int64).reshape(-1, 3)).tolist()
    if -1 in numbers:
        raise SnapshotError(
            f"snapshot {snapshot.name!r} lacks the sample at {places[numbers.index(-1)]}"
        )
    return {place: _sample(snapshot, number) for place, number in zip(places, numbers, strict=True)}


def _sample(snapshot: LoadedSnapshot, number: int) -> dict[str, Any]:
    text = snapshot.text
    return {
        "ids": text.row(number),
        "document": text.documents[number].as_py(),
        "domain": text.domains[number].as_py(),
    }


def _context(example: Example, names: Sequence[str]) -> Context:
    ids = example.token_ids
    first, stop = _around(example.peak, len(ids))
    return Context(
        rank=example.rank,
        score=example.score,
        peak=example.peak,
        sample=example.sample,
        document=visible(example.document),
        domain=visible(example.domain),
        place=example.place,
        tokens=_tokens(ids, example.tokens, 0, example.activations, 0, example.scale),
        first=first,
        stop=stop,
        length=len(ids),
        members=_member_rows(example, names),
        duplicates=example.duplicates,
    )


def _around(peak: int, length: int) -> tuple[int, int]:
    return max(0, peak - BEFORE), min(length, peak + AFTER + 1)


def _tokens(
    ids: Sequence[int],
    raw: Sequence[bytes],
    begin: int,
    values: Sequence[float],
    first: int,
    scale: float,
) -> tuple[Token, ...]:
    """Return the tokens from ``first`` on, one per value; raw begins with token ``begin``, so that
    characters that reach over an edge are read whole."""
    pieces = readable(raw)
    return tuple(
        Token(at, ids[at], raw[at - begin], pieces[at - begin], value, _level(value, scale))
        for at, value in enumerate(values, first)
    )


def _member_rows(example: Example, names: Sequence[str]) -> tuple[MemberRow, ...]:
    """Return a row per member that is not zero everywhere, the strongest first."""
    rows = []
    for label in names:
        found = [
            Mark(position, value, _level(value, example.scale))
            for position, value in example.members.get(label, {}).items()
        ]
        if found:
            strongest = max(found, key=lambda mark: abs(mark.value))
            rows.append(MemberRow(label, tuple(found), strongest))
    return tuple(sorted(rows, key=lambda row: -abs(row.strongest.value)))


def _level(value: float, high: float) -> int:
    """Return a value in steps of the highest activity, rounded up, with its sign."""
    if not value:
        return 0
    step = min(LEVELS, max(1, math.ceil(LEVELS * abs(value) / high))) if high else LEVELS
    return step if value > 0 else -step
