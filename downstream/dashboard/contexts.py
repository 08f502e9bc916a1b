"""Max-activating examples as pages show them: shades in steps, an excerpt around the peak."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from downstream.dashboard.data import LoadedSnapshot
from downstream.reading.examples import Example, Place, read_examples
from downstream.reading.token_text import Piece, readable

LEVELS = 16
BEFORE, AFTER = 18, 10


@dataclass(frozen=True, slots=True)
class Token:
    """A token as shown. level: its activity in 16 steps of the cluster's highest, 0 for none."""

    position: int
    id: int
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
    """A hit with its text. first to stop - 1 are the tokens around the peak."""

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
    members: tuple[MemberRow, ...]

    @property
    def excerpt(self) -> tuple[Token, ...]:
        """The tokens around the peak."""
        return self.tokens[self.first : self.stop]


def top_contexts(
    snapshot: LoadedSnapshot, cluster: int, criterion: str, most: int
) -> tuple[Context, ...]:
    """Return the best contexts of a cluster, best first."""
    names = snapshot.members(cluster)
    found = read_examples(snapshot, [cluster], criterion, most)
    return tuple(_context(example, names) for example in found)


def best_contexts(snapshot: LoadedSnapshot, clusters: Sequence[int]) -> dict[int, Context]:
    """Return the best context of each cluster that has one, by the run's first criterion."""
    found = read_examples(snapshot, clusters, snapshot.criteria[0], 1)
    return {example.cluster: _context(example, ()) for example in found}


def _context(example: Example, names: Sequence[str]) -> Context:
    values = zip(example.token_ids, readable(example.tokens), example.activations, strict=True)
    tokens = tuple(
        Token(at, id_, pieces, value, _level(value, example.scale))
        for at, (id_, pieces, value) in enumerate(values)
    )
    return Context(
        rank=example.rank,
        score=example.score,
        peak=example.peak,
        sample=example.sample,
        document=example.document,
        domain=example.domain,
        place=example.place,
        tokens=tokens,
        first=max(0, example.peak - BEFORE),
        stop=min(len(tokens), example.peak + AFTER + 1),
        members=_member_rows(example, names),
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
