"""What verify and the dashboard take for files that stand for gigabytes: measured from outside."""

import subprocess
import sys

import pytest

from tests.hostile.bombs import BOMBS, snapshot_with

SECONDS = 60
MEGABYTES = 500
"""What a process may have had in memory at its end, libraries and all."""

_VERIFY = """
from millrace.cli import run_program
status = run_program(["verify", {manifest!r}])
"""
_OPEN = """
from downstream.dashboard.manifest_sources import PathSource
from downstream.dashboard.watch import SnapshotWatch
watch = SnapshotWatch(PathSource({manifest!r}))
watch.look()
status = 2 if watch.shelf.problems and not watch.shelf.snapshots else 0
print(*watch.shelf.problems.values(), file=sys.stderr)
"""
_MEASURED = """
import re, sys
sys.path[:0] = {path!r}
{body}
# Not what getrusage says: that begins with what the parent had.
status_of_process = open("/proc/self/status").read()
print("peak", int(re.search("VmHWM: *\\t *([0-9]+)", status_of_process)[1]) // 1024)
sys.exit(status)
"""


@pytest.fixture(scope="module", params=BOMBS)
def manifest(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    table, data, rows = BOMBS[request.param]()
    assert len(data) < 8 * 2**20
    return snapshot_with(folder, table, data, rows)


@pytest.mark.parametrize("body", [_VERIFY, _OPEN], ids=["verify", "dashboard"])
@pytest.mark.skipif(sys.platform != "linux", reason="measured by /proc")
def test_a_bomb_is_refused_in_one_line_with_little_memory(manifest, body):
    script = _MEASURED.format(path=sys.path, body=body.format(manifest=str(manifest)))
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if "refused" not in line]
    assert len(said) == 1
    assert "which no file of" in said[0] or "claims 60,000,000 rows" in said[0]
    [_, peak] = done.stdout.split()[-2:]
    assert int(peak) < MEGABYTES
