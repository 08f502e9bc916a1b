"""What a page of the dashboard costs at 65,536 features: processor time, size, memory.

``python -m benchmarks.dashboard [--quick]``. The server is a process of its own, whose processor
time is read before and after requests that each ask for another page.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection

import numpy as np
import psutil

from benchmarks.report import write_report
from benchmarks.wide_snapshot import SYLLABLES, Width, write_wide_snapshot

WIDE = Width(features=65_536, samples=100_000)
QUICK = Width(features=256, samples=512, vocabulary=512)
_LIST = "/runs/wide/features/sae/"
_PARALLEL = 50

Asked = Callable[[int], str]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few features and requests")
    parser.add_argument("--requests", type=int, default=100, help="per kind of page")
    given = parser.parse_args()
    width, requests = (QUICK, 4) if given.quick else (WIDE, given.requests)
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_wide_snapshot(folder, width)
        rows = measured(f"{folder}/{manifest.run}/{manifest.snapshot}", width, requests)
    notes = [
        f"{width.features:,} features, k = {width.k}, {width.samples:,} contexts of "
        f"{width.context} tokens, drawn at random (benchmarks/wide_snapshot.py).",
        "Milliseconds of processor time of the server per request, all threads; every request asks "
        "for another page, compressed.",
    ]
    if not given.quick:
        write_report("dashboard", rows, notes=notes)
    print(*rows, sep="\n")


def pages(width: Width) -> dict[str, tuple[Asked, float]]:
    """Return for each kind of page its n-th address, and the goal in milliseconds."""
    chance = np.random.default_rng(3).permutation(width.features)

    def feature(number: int) -> str:
        return f"{_LIST}{chance[number % width.features]}"

    def word(number: int) -> str:
        return SYLLABLES[number % len(SYLLABLES)]

    return {
        "list": (lambda number: f"{_LIST}?page={number + 1}", 40),
        "list sorted": (lambda number: f"{_LIST}?sort=density&down=1&page={number + 1}", 40),
        "search by label": (lambda number: f"{_LIST}?q={number}", 40),
        "search by token": (lambda number: f"{_LIST}?q=token:{word(number)}", 40),
        "search by word": (lambda number: f"{_LIST}?q=text:{word(number)}", 40),
        "list by columns": (
            lambda number: f"{_LIST}?max_from=1&domain=code&sort=domain&down=1&page={number + 1}",
            40,
        ),
        "search anywhere": (lambda number: f"{_LIST}?q={word(number)}", 40),
        "feature": (feature, 40),
        "feature as JSON": (lambda number: f"{feature(number)}?format=json", 80),
        "list as JSON": (lambda number: f"{_LIST}?format=json&page={number + 1}", 80),
    }


def measured(manifest: str, width: Width, requests: int) -> list[dict[str, object]]:
    """Return the rows of the report."""
    begun = time.perf_counter()
    with server(manifest) as (process, port):
        opened = time.perf_counter() - begun
        opening = _seconds(process)
        _settle(process)
        rows = [
            _page(process, port, name, asked, goal, requests)
            for name, (asked, goal) in pages(width).items()
        ]
        rows.append(_unchanged(process, port, requests))
        waits = _parallel(port, pages(width)["feature"][0])
        rows += [
            _row(f"{_PARALLEL} at once, longest wait", 1e3 * max(waits), 3000),
            _row("opening, wall clock", 1e3 * _opened(manifest), 2000),
            _row("server starts and opens, wall clock", 1e3 * opened, None),
            _row("server starts and opens", 1e3 * opening, None),
            {"what": "memory", "MB": process.memory_info().rss / 1e6, "goal": "< 400 MB"},
        ]
    return rows


def _row(what: str, milliseconds: float, goal: float | None, **more: object) -> dict[str, object]:
    said = {"goal": f"< {goal:g} ms"} if goal else {}
    return {"what": what, "ms": milliseconds, **more, **said}


@contextmanager
def server(manifest: str) -> Iterator[tuple[psutil.Process, int]]:
    """Serve a snapshot in a process of its own until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = (
        "from millrace.left_out import leave_out; leave_out('pandas'); "
        f"from downstream.dashboard.app import serve; serve(port={port}, snapshot={manifest!r})"
    )
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.DEVNULL) as running:
        try:
            _wait(running, port)
            yield psutil.Process(running.pid), port
        finally:
            running.terminate()


def _wait(running: "subprocess.Popen[bytes]", port: int, seconds: float = 60) -> None:
    last = time.monotonic() + seconds
    while running.poll() is None and time.monotonic() < last:
        try:
            if _asked(port, "/healthz")[0] == 200:
                return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("the server did not start")


_OPENING = """
import time
from millrace.left_out import leave_out
leave_out("pandas")
from downstream.rendering.opening import open_snapshot
from downstream.reading.locating import locate
manifest = locate({manifest!r})
begun = time.perf_counter()
open_snapshot(manifest)
print(time.perf_counter() - begun)
"""


def _opened(manifest: str) -> float:
    """Return the seconds that opening takes, without the start of Python and its imports."""
    command = [sys.executable, "-c", _OPENING.format(manifest=manifest)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _settle(process: psutil.Process) -> None:
    """Wait until the server has done what it does in the background after opening."""
    before = -1.0
    while (now := _seconds(process)) - before > 0.02:
        before = now
        time.sleep(0.5)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _asked(port: int, address: str, **headers: str) -> tuple[int, int, str]:
    """Return status, bytes and ETag of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", address, headers={"Accept-Encoding": "gzip", **named})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, len(body), answer.headers.get("ETag", "")


def _page(
    process: psutil.Process, port: int, name: str, asked: Asked, goal: float, requests: int
) -> dict[str, object]:
    _asked(port, asked(requests))
    before, sizes = _seconds(process), []
    for number in range(requests):
        status, size, _ = _asked(port, asked(number))
        if status != 200:
            raise RuntimeError(f"{asked(number)} answers {status}")
        sizes.append(size)
    spent = 1e3 * (_seconds(process) - before) / requests
    return _row(name, spent, goal, **{"kB": sum(sizes) / len(sizes) / 1e3})


def _unchanged(process: psutil.Process, port: int, requests: int) -> dict[str, object]:
    _, _, tag = _asked(port, _LIST)
    before = _seconds(process)
    for _ in range(10 * requests):
        status, _, _ = _asked(port, _LIST, If_None_Match=tag)
        if status != 304:
            raise RuntimeError(f"a page that did not change answers {status}")
    return _row("page not modified", 1e2 * (_seconds(process) - before) / requests, 1)


def _parallel(port: int, asked: Asked) -> list[float]:
    def timed(number: int) -> float:
        begun = time.perf_counter()
        _asked(port, asked(1000 + number))
        return time.perf_counter() - begun

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(timed, range(_PARALLEL)))


if __name__ == "__main__":
    main()
