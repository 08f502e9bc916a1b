"""Filters on rows, as pyarrow writes them, and the row groups of a file that they leave out."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pyarrow.parquet as pq

Condition: TypeAlias = tuple[str, str, Any]
Filters: TypeAlias = Sequence[Condition] | Sequence[Sequence[Condition]]
"""Conditions (column, operator, value) that must all hold, or a list of such lists, of which one
must. Operators: ==, =, <, <=, >, >=, in."""

_EXCLUDED: dict[str, Callable[[Any, Any, Any], bool]] = {
    "==": lambda low, high, value: value < low or value > high,
    "=": lambda low, high, value: value < low or value > high,
    "<": lambda low, high, value: low >= value,
    "<=": lambda low, high, value: low > value,
    ">": lambda low, high, value: high <= value,
    ">=": lambda low, high, value: high < value,
    "in": lambda low, high, value: all(one < low or one > high for one in value),
}


def expression_of(filters: Filters) -> Any:
    """Return the filters as an expression for ``Table.filter``."""
    return pq.filters_to_expression(filters)


def columns_of(filters: Filters | None, columns: Sequence[str] | None) -> list[str] | None:
    """Return the columns to read: those asked for and those that the filters look at; None: all."""
    if columns is None:
        return None
    used = [name for conditions in _alternatives(filters) for name, _, _ in conditions]
    return list(dict.fromkeys([*columns, *used]))


def groups_that_can_match(metadata: Any, filters: Filters | None) -> list[int]:
    """Return the numbers of the row groups that may hold a row that matches.

    Decided by the smallest and largest value that the footer names per column and row group.
    """
    groups = range(metadata.num_row_groups)
    if filters is None:
        return list(groups)
    alternatives = _alternatives(filters)
    used = {name for conditions in alternatives for name, _, _ in conditions}
    schema = metadata.schema
    places = {schema.column(i).path: i for i in range(len(schema)) if schema.column(i).path in used}
    found = []
    for group in groups:
        row_group = metadata.row_group(group)
        bounds = {name: _bounds(row_group.column(at)) for name, at in places.items()}
        if any(all(_possible(bounds, one) for one in conditions) for conditions in alternatives):
            found.append(group)
    return found


def _alternatives(filters: Filters | None) -> Sequence[Sequence[Condition]]:
    if not filters:
        return []
    flat = isinstance(filters[0][0], str)
    return [filters] if flat else filters  # type: ignore[list-item, return-value]


def _bounds(column: Any) -> tuple[Any, Any] | None:
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return None
    return statistics.min, statistics.max


def _possible(bounds: dict[str, tuple[Any, Any] | None], condition: Condition) -> bool:
    name, operator, value = condition
    found = bounds.get(name)
    if found is None or operator not in _EXCLUDED:
        return True
    try:
        return not _EXCLUDED[operator](*found, value)
    except TypeError:
        return True
