"""The non-zeros of arrays of numbers: found by compiled loops, sorted by component and token."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from consumers.activations.bitmask import WIDE, lowest, not_zero, reaching
from consumers.compiled import compiled
from streams.arrays import F32, I32, I64, AnyArray, Bool
from streams.errors import NotFiniteError

_SIGN_OFF = 0x7FFFFFFF
# Above the order of every number: such a component fires nowhere.
NEVER = 0x7FFFFFFF


@dataclass(frozen=True, slots=True, eq=False)
class NonZeros:
    """Values of one source that are not 0, sorted by component and then by token.

    count [component]: values of each component. token and value: of each non-zero; tokens are
    numbered through the valid tokens of a batch.
    """

    count: I64
    token: I32
    value: F32


@dataclass(slots=True, eq=False)
class NonZeroBuffer:
    """Room for non-zeros that grows as needed and is kept for the next batch.

    token and value: ``used`` entries are filled. ``value`` may hold any bits beyond them.
    """

    used: int = 0
    token: I32 = field(default_factory=lambda: np.zeros(0, np.int32))
    value: F32 = field(default_factory=lambda: np.zeros(0, np.float32))

    def reserve(self, more: int) -> None:
        """Make room for ``more`` entries behind the filled ones, at least doubling when short."""
        if self.used + more > len(self.token):
            size = max(self.used + more, 2 * len(self.token))
            # What is not filled is not touched either, so that it takes no memory yet.
            token, value = np.empty(size, np.int32), np.empty(size, np.float32)
            token[: self.used] = self.token[: self.used]
            value[: self.used] = self.value[: self.used]
            self.token, self.value = token, value


@compiled
def append_fired(
    bits: AnyArray,
    up: int,
    tokens: int,
    least: I32,
    scale: F32,
    shift: F32,
    kept: Bool,
    token: I32,
    value: F32,
    count: I64,
    used: int,
) -> int:
    """Append ``raw * scale + shift`` wherever a raw number's ``order`` reaches ``least``.

    bits [component, >= tokens]: raw numbers, as int32 (float32, up = 0) or int16 (bfloat16,
    up = 16). Returns the entries then used; ``count`` says how many of each component. Positive
    numbers are ordered like their bits, so that where none below 0 fires 64 tokens cost one
    comparison of integers.
    """
    as_bits = value.view(np.int32)
    for at in range(len(bits)):
        before = used
        low = least[at]
        if kept[at] and low < NEVER:
            row = bits[at]
            wide = tokens // WIDE * WIDE if low > 0 else 0
            for start in range(0, wide, WIDE):
                mask = reaching(row, start, ((low - 1) >> up) + 1)
                while mask:
                    t = start + lowest(mask)
                    mask &= mask - np.uint64(1)
                    as_bits[used] = np.int32(row[t]) << up
                    token[used] = t
                    used += 1
            for t in range(wide, tokens):
                bit = np.int32(row[t]) << up
                if (bit if bit >= 0 else bit ^ _SIGN_OFF) >= low:
                    as_bits[used] = bit
                    token[used] = t
                    used += 1
            for entry in range(before, used):
                value[entry] = value[entry] * scale[at] + shift[at]
        count[at] = used - before
    return used


@compiled
def append_non_zeros(
    bits: I32, columns: int, kept: Bool, column: I32, value: F32, count: I64, used: int
) -> int:
    """Append what is not 0 in each row that is kept; -0.0 is 0, NaN and infinity are not.

    bits [row, >= columns]: float32 as int32. Returns the entries then used; count [row].
    """
    as_bits = value.view(np.int32)
    for at in range(len(bits)):
        before = used
        if kept[at]:
            row, wide = bits[at], columns // WIDE * WIDE
            for start in range(0, wide, WIDE):
                mask = not_zero(row, start)
                while mask:
                    t = start + lowest(mask)
                    mask &= mask - np.uint64(1)
                    as_bits[used] = row[t]
                    column[used] = t
                    used += 1
            for t in range(wide, columns):
                if row[t] & _SIGN_OFF:
                    as_bits[used] = row[t]
                    column[used] = t
                    used += 1
        count[at] = used - before
    return used


@compiled
def by_component(
    component: I32, token: I32, value: F32, first: I64, sorted_token: I32, sorted_value: F32
) -> None:
    """Sort entries by component, equal ones as they come. first [component]: changed on the way."""
    for at in range(len(component)):
        to = first[component[at]]
        first[component[at]] = to + 1
        sorted_token[to] = token[at]
        sorted_value[to] = value[at]


@compiled
def place(
    count: I64,
    token: I32,
    row_of: I32,
    position_of: I32,
    first: int,
    component: I64,
    row: I32,
    position: I32,
) -> None:
    """Write component (counted from ``first``), row and position of each non-zero."""
    at = 0
    for number in range(len(count)):
        for _ in range(count[number]):
            component[at] = first + number
            row[at] = row_of[token[at]]
            position[at] = position_of[token[at]]
            at += 1


def order(values: Tensor) -> Tensor:
    """Return int32 that are ordered like the float32 ``values``; a positive one keeps its bits."""
    bits = values.view(torch.int32)
    return torch.where(bits >= 0, bits, bits ^ _SIGN_OFF)


def check_finite(values: Tensor, where: str) -> None:
    """Raise NotFiniteError if ``values`` hold NaN or infinity; one pass when they do not."""
    if not torch.isfinite(values.sum()).item() and not torch.isfinite(values).all().item():
        raise NotFiniteError(where)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the device has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "can't allocate memory", "alloc_failed"))
