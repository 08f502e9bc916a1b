"""Small random hits with many ties, and random records of every kind."""

import dataclasses
import types
import typing
from dataclasses import fields
from math import inf
from typing import Any

import numpy as np
from annotated_types import Interval
from hypothesis import settings
from hypothesis import strategies as st

from streams.bounds import fault
from streams.names import Name, is_name
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch, Vocabulary
from streams.records.hits import Hits, no_hits
from streams.records.measures import Measure, measure
from streams.records.partials import BucketState, HitsPart, SnapshotRequest, SourceEnd, Statistics
from streams.records.runs import RunRecord

quick = settings(max_examples=60)

# One hit in plain Python: table, score, high, low, peak, partition, sequence, row, entries.
Plain = tuple[int, float, int, int, int, int, int, int, tuple[tuple[int, int, float], ...]]

ENTRY_COLUMNS = ("member", "position", "value")
HEAD = tuple(f.name for f in fields(Hits) if f.name not in (*ENTRY_COLUMNS, "rows"))

_scores = st.sampled_from([-1.5, -0.0, 0.0, 2.0**-149, 0.25, 1.0, 1.0, 2.0**127])
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


def k_of(k: Any, table: int) -> int:
    """Return how many hits a table holds: k, or one after the other of those of a cluster."""
    return k if isinstance(k, int) else int(k[table % len(k)])


def slow_best(given: list[Plain], k: Any) -> list[Plain]:
    """Return the best hit of each of the k best samples of every table, the plain way."""
    kept: list[Plain] = []
    for hit in sorted(given, key=slow_rank):
        same_table = [other for other in kept if other[0] == hit[0]]
        if len(same_table) < k_of(k, hit[0]) and hit[2:4] not in [
            other[2:4] for other in same_table
        ]:
            kept.append(hit)
    return kept


KINDS = (
    TokenBatch,
    PartitionEnd,
    CorpusRecord,
    Vocabulary,
    RunRecord,
    HitsPart,
    Statistics,
    SourceEnd,
    SnapshotRequest,
    BucketState,
)
"""Every record that the codec puts on the wire or into a table."""

_EDGES = [0, 1, 2, 127, 255, 256, 65535, 65536, 2**31 - 1, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1]
_INTEGERS = sorted({sign * edge - less for edge in _EDGES for sign in (1, -1) for less in (0, 1)})
_FLOATS = [0.0, -0.0, 1.5, -1.5, float("inf"), float("-inf"), float("nan")]
_SCALARS = {
    str: st.text(max_size=5),
    bytes: st.binary(max_size=5),
    bool: st.booleans(),
    float: st.sampled_from([*_FLOATS, 1e300]),
    int: st.sampled_from([i for i in _INTEGERS if -(2**63) <= i < 2**63]),
}


_measures = st.builds(
    measure,
    st.text(max_size=5),
    k=st.sampled_from([1, 100, 2**17]),
    edges=st.sampled_from([[], [0.5], [-1.0, 0, 2.5]]),
    sum_bits=st.integers(0, 40),
    word=st.text(max_size=3),
)


def records(kind: Any) -> st.SearchStrategy[Any]:
    """Return the records of a kind with any values of the types that its fields declare."""
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if kind is Measure:
        return _measures
    if origin is typing.Annotated:
        if isinstance(arguments[1], str):
            return arrays(np.dtype(arguments[1]))
        if Name == kind:
            return st.from_regex("[a-z0-9][a-z0-9_-]{0,5}", fullmatch=True).filter(is_name)
        allowed = records(arguments[0]).filter(lambda value: fault(value, arguments[1:]) is None)
        if arguments[0] not in (int, float):
            return allowed
        return st.one_of(allowed, _ends(arguments[1]).map(arguments[0]))
    if origin is tuple:
        return st.lists(records(arguments[0]), max_size=2).map(tuple)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([st.none() if a is type(None) else records(a) for a in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        made: Any = kind
        return st.builds(made, **{f.name: records(hints[f.name]) for f in fields(kind)})
    return _SCALARS[kind]


def _ends(rule: Interval) -> st.SearchStrategy[Any]:
    """Return the smallest and largest numbers that an interval allows."""
    below: Any = rule.lt
    ends = [rule.ge, rule.le, None if below is None or below == inf else below - 1]
    return st.sampled_from([end for end in ends if end is not None])


def arrays(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    """Return arrays of one or two dimensions with values at the edges of integer types."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = st.sampled_from([i for i in _INTEGERS if limits.min <= i <= limits.max])
    else:
        values = st.booleans() if dtype.kind == "b" else st.sampled_from(_FLOATS)
    flat = st.lists(values, max_size=4).map(lambda items: np.array(items, dtype))
    return st.one_of(flat, flat.map(lambda array: array.reshape(-1, 1)))
