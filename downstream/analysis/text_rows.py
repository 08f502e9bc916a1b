"""Rows of stored text as bytes, and where rows of two runs over one text are the same text."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from downstream.reading.examples import ends_of
from downstream.reading.shared_firings import SharedFirings
from downstream.reading.snapshot import Snapshot
from downstream.reading.vocabulary import read_vocabulary
from streams.arrays import I64
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

WINDOW = 16
"""Bytes that rows have to have in common to be the same text, unless they are equal."""


@dataclass(frozen=True, eq=False)
class TextRows:
    """The shared rows of a run, in their order. documents, texts: of each row.

    bounds: where each token begins in its row's bytes, and where the last ends, [token + 1] for
    each row. Masked tokens, as a BOS, have no bytes.
    """

    documents: tuple[str, ...]
    texts: tuple[bytes, ...]
    bounds: tuple[I64, ...]


@dataclass(frozen=True, eq=False)
class Segments:
    """Stretches that a row of A and one of B have in common, [segment].

    a, b: numbers of the rows. start_a, start_b, length: in bytes.
    """

    a: I64
    b: I64
    start_a: I64
    start_b: I64
    length: I64


def read_text_rows(snapshot: Snapshot, firings: SharedFirings) -> TextRows:
    """Return the text of the shared rows; raises SnapshotError if one is not stored."""
    columns = ("partition", "sequence", "row", "document", "ids")
    table = read_table(snapshot.manifest, "samples", columns=columns)
    stored = zip(*(table[name].to_pylist() for name in columns), strict=True)
    by_place = {(p, s, r): (document, ids) for p, s, r, document, ids in stored}
    masked = frozenset(snapshot.about.get("masked_ids", ()))
    vocabulary = read_vocabulary(snapshot.manifest).table
    tokens = {name: vocabulary[name].to_pylist() for name in vocabulary.column_names}
    documents, texts, bounds = [], [], []
    for p, s, r in firings.rows.places.tolist():
        if (p, s, r) not in by_place:
            raise SnapshotError(f"snapshot {snapshot.name!r} lacks the sample at {(p, s, r)}")
        document, ids = by_place[p, s, r]
        shown = _shown(tokens, ids, masked)
        documents.append(document)
        texts.append(b"".join(shown))
        bounds.append(np.cumsum([0, *map(len, shown)], dtype=np.int64))
    return TextRows(tuple(documents), tuple(texts), tuple(bounds))


def _shown(
    tokens: Mapping[str, Sequence[bytes]], ids: Sequence[int], masked: Collection[int]
) -> list[bytes]:
    """Return the bytes of a row's tokens, as ``Snapshot.row_bytes``; a whole vocabulary is read."""
    every = tokens["token"]
    found = [every[token] if 0 <= token < len(every) else b"" for token in ids]
    for place, at in ends_of(ids).items():
        if place in tokens and 0 <= ids[at] < len(every):
            found[at] = tokens[place][ids[at]]
    return [b"" if token in masked else part for token, part in zip(ids, found, strict=True)]


def segments_of(a: TextRows, b: TextRows) -> Segments:
    """Return what rows of the same documents have in common.

    Equal rows are; else rows of which one holds the beginning of the other, WINDOW bytes of it or
    more, and that agree from there to the end of one of them. A beginning that stands at several
    places of a document's rows says nothing.
    """
    by_document: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for side, rows in zip(by_document, (a, b), strict=True):
        for number, document in enumerate(rows.documents):
            side.setdefault(document, []).append(number)
    found = []
    for document in sorted(by_document[0].keys() & by_document[1].keys()):
        ours = {n: a.texts[n] for n in by_document[0][document]}
        theirs = {n: b.texts[n] for n in by_document[1][document]}
        windows = _windows(ours), _windows(theirs)
        pairs = {*_inside(ours, theirs, windows)}
        pairs |= {(n, m, y, x, size) for m, n, x, y, size in _inside(theirs, ours, windows[::-1])}
        found += sorted(pairs)
    columns = np.array(found, np.int64).reshape(-1, 5).T
    return Segments(*columns)


Places = Mapping[bytes, tuple[int, int] | None]


def _windows(rows: Mapping[int, bytes]) -> Places:
    """Return row and place of each stretch of WINDOW bytes; None for one that stands twice."""
    places: dict[bytes, tuple[int, int] | None] = {}
    for number, text in rows.items():
        for at in range(len(text) - WINDOW + 1):
            window = text[at : at + WINDOW]
            places[window] = None if window in places else (number, at)
    return places


def _inside(
    ours: Mapping[int, bytes], theirs: Mapping[int, bytes], windows: tuple[Places, Places]
) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield our row, theirs that begins inside of it, where it begins in both, and how long."""
    equal: dict[bytes, int | None] = {}
    for number, text in ours.items():
        equal[text] = None if text in equal else number
    for number, text in theirs.items():
        same = equal.get(text)
        if same is not None and text:
            yield same, number, 0, 0, len(text)
            continue
        begin = text[:WINDOW]
        place = windows[0].get(begin)
        if place is None or windows[1].get(begin) is None:
            continue
        size = min(len(ours[place[0]]) - place[1], len(text))
        if ours[place[0]][place[1] : place[1] + size] == text[:size]:
            yield place[0], number, place[1], 0, size
