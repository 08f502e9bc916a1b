"""Tests of how a worker's process leaves."""

import subprocess
import sys

HALVES = """
import sys
from streams.transport.faust.worker_app import leave
sys.stdout.write("half a line")
sys.stderr.write("and half of another")
leave(3)
"""


def test_what_was_printed_last_is_seen_even_without_an_end_of_line() -> None:
    ended = subprocess.run([sys.executable, "-c", HALVES], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (3, "half a line")
    assert ended.stderr.endswith("and half of another")
