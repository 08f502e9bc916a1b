"""Loops compiled by numba: for steps that no array operation expresses in one pass."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a loop over arrays at its first call and keep the machine code on disk.

    It runs without the interpreter's lock. Sums keep their order and NaN its meaning: nothing is
    reordered for speed.
    """
    return cast(F, numba.njit(nogil=True, cache=True)(function))
