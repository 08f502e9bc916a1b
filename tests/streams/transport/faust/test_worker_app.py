"""Tests of how a worker ends, and of how its process leaves."""

import asyncio
import subprocess
import sys

from streams.errors import BrokerError
from streams.transport.faust.app import AppOptions, create_app
from streams.transport.faust.worker_app import WorkerApp

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


def worker(left: list[int]) -> WorkerApp:
    return create_app("ending", "memory://ending", options=AppOptions(leave=left.append))


def test_an_orderly_end_admits_nothing_more_and_keeps_its_first_reason() -> None:
    async def work() -> None:
        left: list[int] = []
        ending = worker(left)
        first = BrokerError("first")
        ending.end(first)
        assert not ending.delivery._admitting
        ending.end(BrokerError("second"))
        assert ending.reason is first
        assert (ending.failure, left) == (None, [])

    asyncio.run(work())


def test_a_failure_leaves_once_with_its_first_reason() -> None:
    async def work() -> None:
        left: list[int] = []
        ending, first = worker(left), BrokerError("first")
        ending.fatal(first)
        ending.fatal(BrokerError("second"))
        ending.end(BrokerError("third"))
        assert ending.reason is first
        assert (ending.ending, left) == (None, [1])

    asyncio.run(work())
