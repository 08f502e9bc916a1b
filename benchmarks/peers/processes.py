"""Measurements in processes of their own: a peer's runs once, Millrace's waits for its turns."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.peers.job import Found, Job, read_found

ROOT = Path(__file__).parents[2]
_OPTIONS = {
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "TQDM_DISABLE": "1",
}


class ProcessFailed(Exception):
    """A measurement ended without a result."""


def measured(python: Path, module: str, job: Job, folder: Path, limit: float) -> Found:
    """Run a peer's module in its environment and return what it measured.

    What it prints goes to ``folder``. Raises ProcessFailed if it fails or takes longer than
    ``limit`` seconds.
    """
    path, log = folder / "found.json", folder / "log.txt"
    path.unlink(missing_ok=True)
    arguments = [str(python), "-m", module, json.dumps(asdict(job)), str(path)]
    with (
        log.open("w") as out,
        subprocess.Popen(
            arguments, cwd=folder, env=_env(), stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            status: int | str = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = f"more than {limit:.0f} s"
        finally:
            _end(process)
    if status != 0 or not path.exists():
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise ProcessFailed(f"{module} ended with {status}: {last[0]}")
    return read_found(path)


class Millrace:
    """Millrace's own process, which measures a job whenever it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = (folder / "millrace.txt").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.run_millrace"],
            cwd=folder,
            env=_env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )

    def measured(self, job: Job) -> Found:
        """Return what one run of the whole service took. Raises ProcessFailed if it fails."""
        path = self.folder / "millrace.json"
        path.unlink(missing_ok=True)
        order = {"job": asdict(job), "found": str(path)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise ProcessFailed(f"Millrace failed: see {self._log.name}")
        return read_found(path)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the process."""
        _end(self._process)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


def _env() -> dict[str, str]:
    return {**os.environ, **_OPTIONS}


def _end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """End a process and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
