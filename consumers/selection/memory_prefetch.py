"""Memory prefetch where a loop jumps and the processor cannot foresee it."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streams.arrays import AnyArray

_I8, _I32 = ir.IntType(8), ir.IntType(32)
_READ, _KEPT, _DATA = _I32(0), _I32(3), _I32(1)


def _prefetch(typing_context: Any, array: Any, at: Any) -> Any:
    del typing_context, at

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [_I8.as_pointer()], kind)
        builder.call(ask, [place, _READ, _KEPT, _DATA])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


prefetch = cast(Callable[[AnyArray, np.uint64], None], intrinsic(_prefetch))
"""prefetch(array, at): have entry ``at`` fetched into the cache; nothing else changes.

Inside compiled loops only. array: 1-d and contiguous. An entry beyond its end is no error.
"""
