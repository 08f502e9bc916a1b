"""Select, aggregate and flush: this checkout and others, by optional statistics and by rankings.

``python -m benchmarks.statistics [FOLDERS] [--each] [--rankings]``: FOLDERS are other checkouts of
this project; ``--each``: also every optional statistic alone; ``--rankings``: also every ranking
alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.report import RESULTS, write_report
from benchmarks.timing import Spread
from consumers.rankings.registry import RANKINGS
from consumers.statistics.registry import OPTIONAL

HERE = Path(__file__).parent.parent
WORKER = Path(__file__).with_name("statistics_worker.py")
BASE, ROUNDS = "without optional statistics", 15
RANKED = tuple(name for each in RANKINGS if (name := each.name.partition("@")[0]) != "maximum")
NOTES = (
    "One thread; batches of 64 rows of 128 tokens, 8,192 features with 40 active a token, each a "
    "cluster of one, and 64 clusters of eight; 12 domains; values are drawn; ranked by maximum if "
    "no other ranking is named. Processor seconds a batch, bytes a batch.",
    "Checkouts and choices are processes of their own that take turns; a ratio is "
    "the median over the rounds of that to this checkout without optional statistics.",
)


def main(others: Mapping[str, Path], each: bool, rankings: bool, folder: Path = RESULTS) -> None:
    """Measure all choices in turn and write the report."""
    choices = {
        **{f"{name}, {BASE}": (path, ()) for name, path in others.items()},
        BASE: (HERE, ()),
        **{name: (HERE, (name,)) for name in OPTIONAL if each},
        "all optional statistics": (HERE, OPTIONAL),
        **{f"ranked by {name} alone": (HERE, (f"by:{name}",)) for name in RANKED if rankings},
    }
    workers = {name: _started(*choice) for name, choice in choices.items()}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for number in range(ROUNDS):
        names = list(workers)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            rounds[name].append(_round(workers[name]))
    for worker in workers.values():
        worker.communicate()
    rows = []
    for name, found in rounds.items():
        ratios = [a["all three"] / b["all three"] for a, b in zip(found, rounds[BASE], strict=True)]
        spreads = {k: Spread(tuple(one[k] for one in found)) for k in found[0]}
        rows.append({"statistics": name, "ratio": Spread(tuple(ratios))} | spreads)
    path = write_report("statistics", rows, notes=NOTES, folder=folder)
    print(path.with_suffix(".md").read_text())


def _started(path: Path, optional: tuple[str, ...]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, str(WORKER), *optional]
    worker = subprocess.Popen(
        command,
        cwd=path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    if worker.stdout.readline() != "ready\n":
        raise SystemExit(f"no worker in {path}")
    return worker


def _round(worker: "subprocess.Popen[str]") -> dict[str, float]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    found: dict[str, float] = json.loads(worker.stdout.readline())
    return found


def _commit(path: Path) -> str:
    """Return the commit that a checkout stands at, in short."""
    command = ["git", "-C", str(path), "rev-parse", "--short=7", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    folders = [Path(each).resolve() for each in sys.argv[1:] if not each.startswith("-")]
    main({_commit(path): path for path in folders}, "--each" in sys.argv, "--rankings" in sys.argv)
