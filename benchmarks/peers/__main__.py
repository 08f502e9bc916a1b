"""``python -m benchmarks.peers``: measure, point by point, and write results/peers.json."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.comparing import (
    Compared,
    behind,
    difference_rows,
    goal_rows,
    row,
    stage_rows,
)
from benchmarks.peers.peers import PEERS
from benchmarks.peers.store import kept_in
from benchmarks.peers.turns import Point
from benchmarks.report import RESULTS, write_report
from benchmarks.shapes import GPT2, SMALL

POINTS = ((SMALL, 128), (SMALL, 512), (GPT2, 128), (SMALL, 2048), (GPT2, 512))
NOTES = (
    "Seconds are of the work: imports, the loading of model and dictionary and the start of apps "
    "are left out on both sides, and each side has computed before. Millrace's are the producing "
    "of the corpus, and from the first record to the final manifest, with files and checksums.",
    "Millrace runs directly before and after each tool, at the small shape twice; ratios are "
    "against each of its runs, given as median (low .. high). A tool runs once.",
    "All features: a tool that goes through its features in batches ran some of them, the rest is "
    "counted as its own loop would run them; see the stages.",
    "Common outputs only: without the stages that make what Millrace's snapshot does not hold.",
    "Memory of a tool that ran a part of its features is of that part: all may take more. "
    "Millrace's is over what its process held before its first run.",
    "Others' load: share of the machine's cores that other processes took during the work, the "
    "largest one of Millrace's runs. A figure with more than a few percent is not to be relied on.",
    "Agreement: share of features for which the tool's largest activation and its count of firing "
    "tokens are Millrace's, with what rounding leaves of them. SAEDashboard and sae_vis rank "
    "tokens, so that a sample may come up several times; Millrace ranks samples.",
)


def main() -> int:
    """Measure what the command line names, add it to what was measured before, write the report."""
    options = _options()
    # What it started is ended with it, also when it is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.folder.mkdir(parents=True, exist_ok=True)
    store = options.folder / "measured.json"
    if options.fresh:
        store.unlink(missing_ok=True)
    peers = [peer for peer in PEERS if not options.peers or peer.name in options.peers]
    failures: list[str] = []
    for shape, samples in POINTS:
        if not options.points or f"{shape.name}:{samples}" in options.points:
            point = Point(shape, samples, options.folder, options.limit)
            point.measure(peers, store)
            failures += point.failures
    compared = kept_in(store)
    _report(compared, failures)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    for one in behind(compared):
        print(f"behind {one.tool}, {one.shape}, {one.samples} samples", file=sys.stderr)
    return 1 if failures or not compared else 0


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("points", nargs="*", help="such as small:128; by default all")
    parser.add_argument("--peers", nargs="*", choices=[peer.name for peer in PEERS])
    parser.add_argument("--folder", type=Path, default=Path(".millrace/bench-peers"))
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for one measurement")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    return parser.parse_args()


def _report(compared: list[Compared], failures: list[str]) -> None:
    if not compared:
        return
    tools = {name: version for one in compared for name, version in one.found.versions.items()}
    write_report(
        "peers",
        [row(one) for one in compared],
        notes=[
            *NOTES,
            "Versions of the tools and of what they computed with: "
            + ", ".join(f"{name} {version}" for name, version in sorted(tools.items())),
            *(f"Failed: {failure}" for failure in failures),
        ],
        tables={
            "Goals": goal_rows(compared),
            "What one makes and the other does not": difference_rows(compared),
            "Stages": [stage for one in compared for stage in stage_rows(one)],
        },
        folder=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
