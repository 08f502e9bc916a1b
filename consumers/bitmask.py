"""SIMD comparison of 64 values into a bit mask: the step that no loop compiles to.

They are written as vectors of LLVM, which numba's compiler turns into what the processor has. A
loop with a branch for each number took three times as long over float32 and five over bfloat16.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streams.arrays import AnyArray

WIDE = 64
_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def _reaching(typing_context: Any, row: Any, start: Any, least: Any) -> Any:
    del typing_context

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = _sixty_four(context, builder, signature, arguments)
        low = context.cast(builder, arguments[2], signature.args[2], row.dtype)
        lows = _everywhere(builder, low)
        return builder.bitcast(builder.icmp_signed(">=", numbers, lows), _I64)

    return types.uint64(row, types.intp, least), generate


def _not_zero(typing_context: Any, row: Any, start: Any) -> Any:
    del typing_context

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = _sixty_four(context, builder, signature, arguments)
        ones = ir.Constant(numbers.type, [1] * WIDE)
        unsigned = builder.shl(numbers, ones)
        zeros = ir.Constant(numbers.type, None)
        return builder.bitcast(builder.icmp_signed("!=", unsigned, zeros), _I64)

    return types.uint64(row, types.intp), generate


def _above(typing_context: Any, row: Any, start: Any, shift: Any, scale: Any, least: Any) -> Any:
    del typing_context

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = _sixty_four(context, builder, signature, arguments)
        there = types.uint64(least, types.intp)
        leasts = _sixty_four(context, builder, there, [arguments[4], arguments[1]])
        numbers = builder.fadd(numbers, _everywhere(builder, arguments[2]))
        numbers = builder.fmul(numbers, _everywhere(builder, arguments[3]))
        return builder.bitcast(builder.fcmp_unordered(">", numbers, leasts), _I64)

    float32 = types.float32
    return types.uint64(row, types.intp, float32, float32, least), generate


def _lowest(typing_context: Any, mask: Any) -> Any:
    del typing_context

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.cttz(arguments[0], _I1(1))

    return types.int64(mask), generate


def _everywhere(builder: Any, number: Any) -> Any:
    """Return a vector whose entries all are one number."""
    some = ir.Constant(ir.VectorType(number.type, WIDE), ir.Undefined)
    first = builder.insert_element(some, number, _I32(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_I32, WIDE), None))


def _sixty_four(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Return the vector of entries that begins at the second argument, of the first one's."""
    row = signature.args[0]
    data = context.make_array(row)(context, builder, arguments[0]).data
    vector = ir.VectorType(context.get_data_type(row.dtype), WIDE)
    at = builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())
    return builder.load(at, align=row.dtype.bitwidth // 8)


reaching = cast(Callable[[AnyArray, int, int], np.uint64], intrinsic(_reaching))
"""reaching(row, start, least): bit t is set if ``row[start + t] >= least``.

Inside compiled loops only, like all of these. row: 1-d, C-contiguous, signed integers, with 64
entries from start on, which nothing checks; least must fit their type.
"""

not_zero = cast(Callable[[AnyArray, int], np.uint64], intrinsic(_not_zero))
"""not_zero(row, start): bit t is set if ``row[start + t]`` has more than its sign bit set."""

above = cast(
    Callable[[AnyArray, int, np.float32, np.float32, AnyArray], np.uint64], intrinsic(_above)
)
"""above(row, start, shift, scale, least): bit t is set unless a value is at most its bound.

The value is ``(row[start + t] + shift) * scale``, rounded after each step, the bound
``least[start + t]``: NaN sets the bit, too. row and least: 1-d, C-contiguous, float32.
"""

lowest = cast(Callable[[np.uint64], int], intrinsic(_lowest))
"""lowest(mask): the number of the lowest bit that is set; mask must not be 0."""
