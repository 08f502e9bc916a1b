"""Neighbours of features by the cosine of their directions, within and between dictionaries."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.derived.derivation import (
    FEATURE_COLUMNS,
    Derived,
    Given,
    Options,
    computed,
    feature_columns,
    list_column,
)
from downstream.derived.dictionaries import Dictionary, provenance, units
from downstream.derived.largest import largest, row_blocks
from streams.arrays import F32, I64
from streams.errors import ModelError
from streams.snapshots.tables import Column, TableForm

NEIGHBOURS = TableForm(
    "neighbours",
    "The features whose directions have the largest cosine with a feature's, itself left out.",
    ("feature", "direction", "other_source"),
    (
        *FEATURE_COLUMNS,
        Column("direction", pa.string(), "`decoder` or `encoder`"),
        Column("other_source", pa.string(), "the neighbours' source, the feature's own or another"),
        Column("other_indices", pa.list_(pa.int32()), "their indices in it, the nearest first"),
        computed(
            "cosines", pa.list_(pa.float32()), "cosine of the two directions, 0 for one of length 0"
        ),
    ),
)
_DIRECTIONS = ("decoder", "encoder")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k nearest by decoder and by encoder, in every dictionary of the same width."""

    kind: str = "neighbours"
    summary: str = "features with the nearest decoder and encoder directions, by cosine"
    forms: tuple[TableForm, ...] = (NEIGHBOURS,)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the neighbours within each source, between sources, and in other dictionaries."""
        if not given.dictionaries:
            raise ModelError("no neighbours: the run has no source with directions")
        parts: list[pa.Table] = []
        left_out: list[str] = []
        for one in given.dictionaries:
            blocks = []
            for direction in _DIRECTIONS:
                for other in (*given.dictionaries, *given.others):
                    why = _unfit(one, other, direction)
                    if why:
                        left_out.append(why)
                    else:
                        blocks.append(_table(given, one, other, direction, options.k))
            parts += _by_feature(blocks)
        if not parts:
            raise ModelError(f"no neighbours: {'; '.join(left_out)}")
        said: dict[str, Any] = {
            "k": options.k,
            "dictionaries": [provenance(each) for each in (*given.dictionaries, *given.others)],
        }
        return Derived({NEIGHBOURS: pa.concat_tables(parts)}, said, left_out)


def nearest(one: F32, other: F32, k: int, *, same: bool) -> tuple[I64, F32]:
    """Return the indices [n, k] of the nearest of ``other`` [m, width] and their cosines.

    one: [n, width]. same: both are one dictionary, and no feature is its own neighbour. k: fewer
    where there are not so many.
    """
    k = min(k, len(other) - same)
    indices, cosines = [], []
    ours, theirs = units(one), units(other)
    for block in row_blocks(len(one), len(other)):
        found = ours[block] @ theirs.T
        if same:
            row = np.arange(block.start, block.stop)
            found[row - block.start, row] = -np.inf
        at = largest(found, k)
        indices.append(at)
        cosines.append(np.clip(np.take_along_axis(found, at, axis=1), -1, 1))
    return np.concatenate(indices), np.concatenate(cosines)


def _unfit(one: Dictionary, other: Dictionary, direction: str) -> str:
    """Return why two dictionaries have no cosines, "" if they have."""
    ours, theirs = getattr(one, direction), getattr(other, direction)
    if ours is None or theirs is None:
        nameless = one.name if ours is None else other.name
        return f"{nameless} has no {direction} directions"
    if ours.shape[1] != theirs.shape[1]:
        widths = f"{ours.shape[1]} and {theirs.shape[1]}"
        return f"{direction} directions of {one.name} and {other.name} have {widths} values"
    if one is other and len(ours) < 2:
        return f"{one.name} has a single feature"
    return ""


def _table(given: Given, one: Dictionary, other: Dictionary, direction: str, k: int) -> pa.Table:
    ours, theirs = getattr(one, direction), getattr(other, direction)
    indices, cosines = nearest(ours, theirs, k, same=one is other)
    columns = {
        **feature_columns(given, one.name, len(ours)),
        "direction": pa.array([direction] * len(ours)),
        "other_source": pa.array([other.name] * len(ours)),
        "other_indices": list_column(indices.astype(np.int32)),
        "cosines": list_column(cosines),
    }
    return pa.table(columns, NEIGHBOURS.schema)


def _by_feature(blocks: list[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of blocks of the same features in the order of the table's key."""
    if blocks:
        sorting = [(name, "ascending") for name in NEIGHBOURS.key]
        yield pa.concat_tables(blocks).sort_by(sorting)
