"""A small snapshot, with a logit lens and neighbours attached in one of two copies, and exports."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import millrace
from downstream.exporters.exporting import export
from downstream.exporters.registry import find_exporter
from downstream.reading.snapshot import Snapshot
from tests.downstream.dashboard.snapshot_files import Given, large, small, write_snapshot
from tests.downstream.exporters.attached import attach
from tests.downstream.exporters.hostile import RUNS, write_hostile

CHOICES: dict[str, dict[str, Any]] = {
    "spd": {"clustering": "odd"},
    "html": {"features": "0-4"},
    "csv": {"table": "hits"},
    "jsonl": {"table": "hits"},
}
"""What has to be chosen to export the small snapshot."""

Written = Callable[..., Path]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the runs ``bare`` and ``attached``, equal but for attachments, and ``many``."""
    folder = tmp_path_factory.mktemp("store")
    write_snapshot(str(folder), small(), run="bare")
    attach(write_snapshot(str(folder), small(), run="attached"))
    write_snapshot(str(folder), without_repeats(large(40, rows_wanted=60, context=32)), run="many")
    return folder


@pytest.fixture(scope="session")
def hostile_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Snapshot]:
    """Snapshots of what readers stumble over, by the names of their runs."""
    folder = tmp_path_factory.mktemp("hostile")
    write_hostile(str(folder))
    return {run: millrace.open(folder, run=run) for run in RUNS}


def without_repeats(given: Given) -> Given:
    """Return the same with each row of tokens once, as a cluster's examples have it; 24 rows."""
    first = {tuple(ids): at for at, (_, ids) in reversed([*enumerate(given.rows)])}
    kept = sorted(first.values())[:24]
    rows, values = [given.rows[at] for at in kept], given.values[:, kept]
    return replace(given, rows=rows, values=values)


@pytest.fixture(scope="session")
def bare(store: Path) -> Snapshot:
    """The small snapshot."""
    return millrace.open(store, run="bare")


@pytest.fixture(scope="session")
def attached(store: Path) -> Snapshot:
    """The same with attachments."""
    return millrace.open(store, run="attached")


@pytest.fixture(scope="session")
def many(store: Path) -> Snapshot:
    """Forty features that are active in plain English."""
    return millrace.open(store, run="many")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return an export of a snapshot, written once for equal choices."""
    done: dict[str, Path] = {}

    def write(format: str, snapshot: Snapshot, **choices: Any) -> Path:
        choices = {name.replace("_", "-"): value for name, value in choices.items()}
        usual = CHOICES.get(format, {}) if snapshot.run in ("bare", "attached") else {}
        whole = {**usual, **choices}
        key = repr((format, snapshot.run, whole))
        if key not in done:
            out = tmp_path_factory.mktemp("export") / format
            done[key] = export(find_exporter(format), snapshot, out, whole).path
        return done[key]

    return write
