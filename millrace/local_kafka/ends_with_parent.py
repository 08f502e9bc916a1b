"""Become another program that ends with its parent: ``tied.py PARENT PROGRAM ARGUMENT...``.

Run as a file of its own, because what happens between fork and exec is safe only in a process
without threads. Only Linux can tie a child to its parent; elsewhere the program just starts.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask for SIGKILL at the parent's death and become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
