"""Slabs: rows of a batch that a device selects from at a time, so that its memory is bounded.

Selection takes about a hundred bytes for each value that is not 0. Where sources are dense, as
neurons are, that is tokens times components: such a batch is selected a slab of rows at a time. All
that statistics add is a sum or an extreme, so that slabs come to what the whole batch does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from consumers.activations.device_activations import DeviceActivations
from consumers.device_transfer import fetch
from consumers.plan import Plan
from consumers.statistics.contributions import Contributions, KeySums, MomentSums
from consumers.statistics.counter_merge import Counts
from consumers.statistics.device.activity import bounds, owners
from consumers.statistics.keys import key_of
from consumers.statistics.statistic import CarryingStatistic, Statistic, name_of
from streams.arrays import I64, AnyArray
from streams.errors import OverflowingSumError

_BYTES_PER_VALUE = 1024
_LEAST = 2**22
_BEYOND = 2.0**62


def values_at_once(device: torch.device) -> int:
    """Return how many values a device selects from at a time: these take a tenth of its memory."""
    if device.type != "cuda":
        return _LEAST
    total = int(torch.cuda.get_device_properties(device).total_memory)
    return max(_LEAST, total // _BYTES_PER_VALUE)


def slabs_of(found: DeviceActivations, rows: int, most: int) -> list[range]:
    """Return ranges of rows, one after the other, that hold ``most`` values or are one row."""
    if len(found.value) <= most:
        return [range(rows)]
    row = found.token // found.positions
    count = torch.zeros(rows, dtype=torch.int64, device=row.device)
    total = np.cumsum(fetch(count.index_add_(0, row, torch.ones_like(row))))
    slabs, first = list[range](), 0
    while first < rows:
        before = int(total[first - 1]) if first else 0
        stop = int(np.searchsorted(total, before + most, side="right"))
        slabs.append(range(first, max(stop, first + 1)))
        first = slabs[-1].stop
    return slabs


def within(found: DeviceActivations, rows: range) -> DeviceActivations:
    """Return the values in some rows; tokens keep their numbers, and nothing is measured there."""
    first, stop = rows.start * found.positions, rows.stop * found.positions
    inside = (found.token >= first) & (found.token < stop)
    counts = torch.zeros_like(found.first[1:])
    counts.index_add_(
        0, owners(found.first, len(found.token))[inside], torch.ones_like(found.token[inside])
    )
    return replace(
        found,
        first=bounds(counts),
        token=found.token[inside],
        value=found.value[inside],
        measured={},
    )


def added(plan: Plan, statistic: Statistic, parts: Sequence[Contributions]) -> Contributions:
    """Return what a statistic adds in several slabs as what it adds in the batch.

    Raises OverflowingSumError if a sum is too large.
    """
    if len(parts) == 1:
        return parts[0]
    name = name_of(statistic)
    found = _added(plan, name, parts)
    if isinstance(statistic, CarryingStatistic):
        return statistic.carried(found, plan.layout.addresses(name))
    return found


def _added(plan: Plan, statistic: str, parts: Sequence[Contributions]) -> Contributions:
    keyed = {name for part in parts for name in part.keyed}
    named = {name for part in parts for name in part.names}
    return Contributions(
        sums=tuple(_counts([each for part in parts for each in part.sums])),
        moments=tuple(_moments([each for part in parts for each in part.moments])),
        keyed={
            name: _keys(
                plan, f"{statistic}.{name}", [p.keyed[name] for p in parts if name in p.keyed]
            )
            for name in sorted(keyed)
        },
        names={
            name: tuple(sorted({t for p in parts for t in p.names.get(name, ())}, key=key_of))
            for name in sorted(named)
        },
    )


def _counts(parts: Sequence[Counts]) -> Iterator[Counts]:
    if not parts:
        return
    at, count = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order, starts = _grouped(at)
    yield at[order][starts], _sums(count[order], starts)


def _moments(parts: Sequence[MomentSums]) -> Iterator[MomentSums]:
    if not parts:
        return
    at, total, low, high = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in MomentSums.__dataclass_fields__
    )
    order, starts = _grouped(at)
    yield MomentSums(
        at[order][starts],
        _sums(total[order], starts),
        _reduced(np.minimum, low[order], starts),
        _reduced(np.maximum, high[order], starts),
    )


def _keys(plan: Plan, name: str, parts: Sequence[KeySums]) -> KeySums:
    place = next(each for each in plan.layout.keyed if each.name == name)
    cluster, key, value = (
        np.concatenate([getattr(part, column) for part in parts])
        for column in ("cluster", "key", "value")
    )
    order, starts = _grouped(cluster, key)
    sums = place.columns - place.maxima
    value = value[order]
    columns = [
        _sums(value[:, n], starts) if n < sums else _reduced(np.maximum, value[:, n], starts)
        for n in range(place.columns)
    ]
    return KeySums(cluster[order][starts], key[order][starts], np.stack(columns, axis=1))


def _grouped(*columns: AnyArray) -> tuple[I64, I64]:
    """Return what sorts entries by columns, the first above all, and where each group begins."""
    order = np.lexsort(columns[::-1])
    new = np.ones(len(order), np.bool_)
    new[1:] = np.logical_or.reduce([c[order][1:] != c[order][:-1] for c in columns])
    return order, np.flatnonzero(new)


def _reduced(by: np.ufunc, values: AnyArray, starts: I64) -> AnyArray:
    found: AnyArray = by.reduceat(values, starts) if len(starts) else values
    return found


def _sums(values: I64, starts: I64) -> I64:
    if (abs(_reduced(np.add, values.astype(np.float64), starts)) >= _BEYOND).any():
        raise OverflowingSumError(
            "a sum over a batch exceeds 2**62: start a new run with fewer sum_bits"
        )
    return _reduced(np.add, values, starts)
