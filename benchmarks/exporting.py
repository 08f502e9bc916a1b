"""How long an export takes and how much memory it needs, by the number of features.

``python -m benchmarks.exporting [--quick] [--features N] [--formats NAME ...]``. A snapshot is
drawn for each width; every export is a process of its own.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import millrace
from benchmarks.crew_worker import resident
from benchmarks.own_process import in_own_process
from benchmarks.report import write_report
from benchmarks.wide_snapshot import Width, write_wide_snapshot
from downstream.exporters.exporting import export
from downstream.exporters.registry import find_exporter

FORMATS = (
    "csv",
    "jsonl",
    "delphi",
    "neuronpedia",
    "saedashboard",
    "columnar",
    "spd",
    "circuit-tracer",
    "circuit-tracer-binary",
    "html",
)
FEATURES = (16_384, 65_536)
SAMPLES = 8192
CONTEXT = 32
EXAMPLES = 5
GROWTH = 1.5
"""How many times the memory of the smaller width the larger one may take, of four times the work.

The vocabulary and the places of the samples are the same for both and stay in memory.
"""

_CHOICES: dict[str, dict[str, Any]] = {
    "csv": {"table": "hits"},
    "jsonl": {"table": "hits"},
    "delphi": {"examples": EXAMPLES},
    "html": {"examples": EXAMPLES, "features": "0-63"},
    "spd": {"examples": EXAMPLES, "clustering": "features/sae"},
}


def main() -> None:
    """Measure every format at every width and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few features; no report")
    parser.add_argument("--features", type=int, nargs="+", default=list(FEATURES))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS))
    given = parser.parse_args()
    samples = 64 if given.quick else SAMPLES
    widths = (64, 256) if given.quick else given.features
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for features in widths:
        with tempfile.TemporaryDirectory() as folder:
            write_wide_snapshot(folder, Width(features, samples, EXAMPLES, CONTEXT))
            for name in given.formats:
                found[name, features] = measured(name, folder)
                print(name, features, found[name, features], flush=True)
                if not given.quick:
                    report(found)


def report(found: Mapping[tuple[str, int], dict[str, Any]]) -> None:
    """Write the report of what was measured so far."""
    widths = sorted({features for _, features in found})
    order = sorted(found, key=lambda one: (FORMATS.index(one[0]), one[1]))
    rows = [row(name, f, found[name, f], found[name, widths[0]]) for name, f in order]
    notes = [
        f"{EXAMPLES} examples of {CONTEXT} tokens per feature, out of {SAMPLES:,} samples; a "
        "snapshot drawn at random, read and written in a folder.",
        "Memory: resident at the peak of the process's life, as the system states it; before: when "
        "all is imported and nothing read. Processor: seconds of it that the export took, which "
        "other programs on the machine do not change.",
    ]
    write_report("exporting", rows, notes=notes)


def measured(name: str, folder: str) -> dict[str, Any]:
    """Return seconds, peak memory and size of an export, made in a process of its own."""
    return in_own_process(_export, name, folder)


def row(name: str, features: int, found: dict[str, Any], least: dict[str, Any]) -> dict[str, Any]:
    """Return the report's row of a format and a width."""
    growth = found["peak MB"] / least["peak MB"]
    return {
        "format": name,
        "features": features,
        **found,
        "features per processor s": features / found["processor s"],
        "goal": f"< {GROWTH:g} x",
        "met": "yes" if growth < GROWTH else "no",
    }


def _export(name: str, folder: str, answer: Any) -> None:
    exporter = find_exporter(name)
    before = resident("VmRSS")
    out = Path(folder) / "out"
    begun, used = time.perf_counter(), time.process_time()
    export(exporter, millrace.open(folder), out, _CHOICES.get(name, {"examples": EXAMPLES}))
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    answer.send(
        {
            "seconds": seconds,
            "processor s": processor,
            "peak MB": resident("VmHWM") / 1e6,
            "before MB": before / 1e6,
            "MB written": size / 1e6,
            "files": len(files),
        }
    )
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink()


if __name__ == "__main__":
    main()
