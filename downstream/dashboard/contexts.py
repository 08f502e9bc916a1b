"""The contexts that excite clusters: hits and samples of a snapshot, joined for display."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from downstream.dashboard.data import Snapshot
from downstream.dashboard.text import Piece, readable
from streams.errors import SnapshotError
from streams.store import read_table

LEVELS = 16
BEFORE, AFTER = 18, 10
_PLACE = ("partition", "sequence", "row")

Place = tuple[int, int, int]


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
    snapshot: Snapshot, cluster: int, criterion: str, most: int
) -> tuple[Context, ...]:
    """Return the best contexts of a cluster, best first."""
    filters = [("cluster", "==", cluster), ("ranking", "==", criterion), ("rank", "<", most)]
    hits = read_table(snapshot.manifest, "hits", filters=filters).to_pylist()
    samples = _samples(snapshot, hits)
    names = snapshot.members(cluster)
    return tuple(
        _context(snapshot, hit, samples[_place(hit)], names)
        for hit in sorted(hits, key=lambda hit: hit["rank"])
    )


def best_contexts(snapshot: Snapshot, clusters: Sequence[int]) -> dict[int, Context]:
    """Return the best context of each cluster that has one, by the run's first criterion."""
    filters = [
        ("cluster", "in", list(clusters)),
        ("ranking", "==", snapshot.criteria[0]),
        ("rank", "==", 0),
    ]
    if not clusters:
        return {}
    hits = read_table(snapshot.manifest, "hits", filters=filters).to_pylist()
    samples = _samples(snapshot, hits)
    return {hit["cluster"]: _context(snapshot, hit, samples[_place(hit)], ()) for hit in hits}


def _place(row: dict[str, Any]) -> Place:
    return row["partition"], row["sequence"], row["row"]


def _samples(snapshot: Snapshot, hits: Iterable[dict[str, Any]]) -> dict[Place, dict[str, Any]]:
    """Return the samples at the places of hits; every one must be there."""
    places = sorted({_place(hit) for hit in hits})
    if not places:
        return {}
    filters = [
        [(name, "==", at) for name, at in zip(_PLACE, place, strict=True)] for place in places
    ]
    rows = read_table(snapshot.manifest, "samples", filters=filters).to_pylist()
    found = {_place(row): row for row in rows}
    if len(found) < len(places):
        absent = next(place for place in places if place not in found)
        raise SnapshotError(f"snapshot {snapshot.manifest.snapshot!r} lacks the sample at {absent}")
    return found


def _bytes_of(snapshot: Snapshot, ids: Sequence[int]) -> list[bytes]:
    """Return what each token of a row shows, as the tokenizer decodes the row."""
    found = [snapshot.vocabulary.get(i, f"⟨id {i}⟩".encode()) for i in ids]
    ends = {"alone": 0} if len(ids) == 1 else {"first": 0, "last": -1}
    for place, at in ends.items():
        if ids:
            found[at] = snapshot.token_forms.get(place, {}).get(ids[at], found[at])
    return found


def _context(
    snapshot: Snapshot, hit: dict[str, Any], sample: dict[str, Any], names: Sequence[str]
) -> Context:
    high = float(snapshot.high[hit["cluster"]])
    ids, peak = sample["ids"], hit["peak"]
    activity = dict(zip(hit["positions"], hit["activations"], strict=True))
    shown = readable(_bytes_of(snapshot, ids))
    tokens = tuple(
        Token(at, id_, pieces, activity.get(at, 0.0), _level(activity.get(at, 0.0), high))
        for at, (id_, pieces) in enumerate(zip(ids, shown, strict=True))
    )
    return Context(
        rank=hit["rank"],
        score=hit["score"],
        peak=peak,
        sample=hit["sample"].hex(),
        document=sample["document"] or "",
        domain=sample["domain"] or "",
        place=_place(hit),
        tokens=tokens,
        first=max(0, peak - BEFORE),
        stop=min(len(tokens), peak + AFTER + 1),
        members=_member_rows(hit, names, high),
    )


def _member_rows(hit: dict[str, Any], names: Sequence[str], high: float) -> tuple[MemberRow, ...]:
    """Return a row per member that is not zero everywhere, the strongest first."""
    marks: dict[int, list[Mark]] = {}
    entries = zip(
        hit["member_indices"], hit["member_positions"], hit["member_activations"], strict=True
    )
    for member, position, value in entries if names else ():
        marks.setdefault(member, []).append(Mark(position, value, _level(value, high)))
    rows = [
        MemberRow(names[member], tuple(found), max(found, key=lambda mark: abs(mark.value)))
        for member, found in marks.items()
    ]
    return tuple(sorted(rows, key=lambda row: -abs(row.strongest.value)))


def _level(value: float, high: float) -> int:
    """Return a value in steps of the highest activity, rounded up, with its sign."""
    if not value:
        return 0
    step = min(LEVELS, max(1, math.ceil(LEVELS * abs(value) / high))) if high else LEVELS
    return step if value > 0 else -step
