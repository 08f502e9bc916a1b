"""Small random hits with many ties, for the tests of whoever handles hits."""

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import strategies as st

from streams.hits import Hits, no_hits

# One hit in plain Python: table, score, high, low, peak, partition, sequence, row, entries.
Plain = tuple[int, float, int, int, int, int, int, int, tuple[tuple[int, int, float], ...]]

ENTRY_COLUMNS = ("member", "position", "value")
HEAD = tuple(f.name for f in fields(Hits) if f.name not in (*ENTRY_COLUMNS, "rows"))

_scores = st.sampled_from([-1.5, -0.0, 0.0, 1e-45, 0.25, 1.0, 1.0, 3.0e38])
_keys = st.sampled_from([0, 1, 2**63, 2**64 - 1])
_entries = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([-2.0, 0.5])), max_size=3
)
_hit = st.tuples(
    st.integers(0, 3), _scores, _keys, _keys, *[st.integers(0, 2)] * 4, _entries.map(tuple)
)
plain_hits = st.lists(_hit, max_size=24)


def columns(plain: list[Plain]) -> Hits:
    """Return plain hits in columns."""
    kinds = {name: column.dtype for name, column in by_name(no_hits()).items()}
    head = list(zip(*[hit[:8] for hit in plain], strict=True)) if plain else [()] * 8
    entries = [entry for hit in plain for entry in hit[8]]
    found: dict[str, Any] = dict(zip(HEAD, head, strict=True))
    found["rows"] = [len(hit[8]) for hit in plain]
    found |= dict(
        zip(ENTRY_COLUMNS, zip(*entries, strict=True) if entries else [()] * 3, strict=True)
    )
    return Hits(**{name: np.array(found[name], kinds[name]) for name in kinds})


def by_name(record: Any) -> dict[str, Any]:
    """Return the fields of one of our records by name."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def plain(hits: Hits) -> list[Plain]:
    """Return hits in plain Python; a negative zero reads as zero."""
    heads = zip(*[getattr(hits, name).tolist() for name in HEAD], strict=True)
    entries = zip(*[getattr(hits, name).tolist() for name in ENTRY_COLUMNS], strict=True)
    return [
        (*head, tuple(next(entries) for _ in range(rows)))
        for head, rows in zip(heads, hits.rows.tolist(), strict=True)
    ]


def slow_rank(hit: Plain) -> tuple[float, ...]:
    """Return what hits are sorted by: table, then the documented order."""
    table, score, high, low, peak, partition, sequence, row, _ = hit
    return table, -score, high, low, peak, partition, sequence, row


def slow_best(given: list[Plain], k: int) -> list[Plain]:
    """Return the best hit of each of the k best samples of every table, the plain way."""
    kept: list[Plain] = []
    for hit in sorted(given, key=slow_rank):
        same_table = [other for other in kept if other[0] == hit[0]]
        if len(same_table) < k and hit[2:4] not in [other[2:4] for other in same_table]:
            kept.append(hit)
    return kept
