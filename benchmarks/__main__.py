"""``python -m benchmarks [names] [--quick]``: run benchmarks one after another.

Each has a process of its own, so that none meets the memory, threads and caches of another. At the
end docs/performance.md shows the new results.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.machine import WAITING
from benchmarks.page import PAGE, filled

NAMES = (
    "efficiency",
    "storing",
    "features",
    "dashboard",
    "traffic",
    "scale_out",
    "statistics",
    "one_pass",
    "default_numbers",
    "aggregating",
)
WITHOUT_QUICK = ("traffic", "statistics")
"""Those that have no quick form; with ``--quick`` they are left out."""


def main(arguments: Sequence[str]) -> int:
    """Run what the command line names, by default all; return 0 if every one went through."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="tiny shapes; reports thrown away")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; take some of {', '.join(NAMES)}")
    names = given.names or [n for n in NAMES if not (given.quick and n in WITHOUT_QUICK)]
    failed = [name for name in names if not _went_through(name, given.quick)]
    if not given.quick:
        PAGE.write_text(filled(PAGE.read_text()))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _went_through(name: str, quick: bool) -> bool:
    """Run one benchmark and return whether it ended well."""
    print(f"== {name}", file=sys.stderr, flush=True)
    begun = time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    # As the program itself sets it: threads that wait by spinning stand in the others' way.
    status = subprocess.run(command, env={WAITING: "PASSIVE", **os.environ}).returncode
    print(f"== {name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    return status == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
