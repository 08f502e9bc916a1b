"""In processes of their own: how memory is taken is settled once for each."""

import os
import platform
import subprocess
import sys

import pytest

from consumers.service.allocation import ARENAS, ARROW_POOL

ALLOCATING = """
import ctypes, os, sys, threading
from consumers.service.allocation import share
import millrace.verbs.workers
assert not {"pyarrow", "numpy"} & set(sys.modules)
if sys.argv[1] == "shared":
    share(os.environ)
import pyarrow
print(pyarrow.default_memory_pool().backend_name, flush=True)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
ready = threading.Barrier(9)
def allocate():
    libc.malloc(1000)
    ready.wait()
for _ in range(8):
    threading.Thread(target=allocate).start()
ready.wait()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def said(how: str, **environ: str) -> tuple[str, int]:
    """Return Arrow's allocator and the number of arenas in a process with nine threads."""
    inherited = {n: v for n, v in os.environ.items() if n not in (ARROW_POOL, ARENAS)}
    ran = subprocess.run(
        [sys.executable, "-c", ALLOCATING, how],
        env={**inherited, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    pool, _, arenas = ran.stdout.partition("\n")
    return pool, arenas.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas to count")
def test_threads_share_what_they_free():
    pool, arenas = said("as it is")
    assert pool != "system"
    assert arenas > 2
    assert said("shared") == ("system", 1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas to count")
def test_what_the_environment_says_holds():
    pool, arenas = said("shared", **{ARROW_POOL: "mimalloc", ARENAS: "3"})
    assert pool == "mimalloc"
    assert arenas == 3
