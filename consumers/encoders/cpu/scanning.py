"""Finding the non-zeros of dense products: SIMD loops over rows of numbers."""

from dataclasses import dataclass, field

import numpy as np

from consumers.bitmask import WIDE, lowest, not_zero, reaching
from consumers.compiled import compiled
from consumers.encoders.float_order import NEVER, SIGN_OFF
from streams.arrays import F32, I32, I64, AnyArray, Bool


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
                if (bit if bit >= 0 else bit ^ SIGN_OFF) >= low:
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
                if row[t] & SIGN_OFF:
                    as_bits[used] = row[t]
                    column[used] = t
                    used += 1
        count[at] = used - before
    return used
