"""Loops compiled by numba: for steps that no array operation expresses in one pass."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a loop over arrays at its first call and keep the machine code on disk.

    It is kept beside the source, else in the user's cache, or where ``NUMBA_CACHE_DIR`` says.

    It runs without the interpreter's lock. Sums keep their order and NaN its meaning: nothing is
    reordered for speed.
    """
    try:
        return cast(F, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # nowhere to keep it, as in a container without a home: compile each time
        return cast(F, numba.njit(nogil=True)(function))
