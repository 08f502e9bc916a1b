"""Memory allocation of an aggregator's process: one arena that all of its threads share.

Arrow's usual allocator and the arenas of glibc keep what each of some twenty threads has freed, for
that thread alone: more than all the state of a run with a few thousand clusters takes.
"""

import ctypes
from collections.abc import MutableMapping

ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
ARENAS = "MALLOC_ARENA_MAX"
_M_ARENA_MAX = -8  # of glibc's malloc.h


def share(environ: MutableMapping[str, str]) -> None:
    """Have the threads of this process share freed memory, unless its environment says otherwise.

    environ: the process' own, which Arrow reads when it is imported first, so call this before; and
    before there are threads, which keep the arena they have. A C library without arenas, any but
    glibc, is left as it is. Not for a process that computes: its threads allocate all the time.
    """
    environ.setdefault(ARROW_POOL, "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and ARENAS not in environ:
        mallopt(_M_ARENA_MAX, 1)
