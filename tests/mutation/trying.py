"""Running tests on a mutant, in a copy of the tree, so that the checkout is never touched."""

import compileall
import multiprocessing
import os
import py_compile
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.mutation.fast_tests import SCHEDULES, Suite, arguments
from tests.mutation.mutants import Mutant

Outcome = Literal["caught", "too slow", "survived"]
_PATIENCE, _GRACE_SECONDS, _TEST_SECONDS = 3.0, 60.0, 45.0


class BaselineError(Exception):
    """The tests fail without any mutant, so that they say nothing about one."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant. too slow: no test ended, nor when it was tried once more."""

    mutant: Mutant
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that came to an end. status: of pytest; negative if it was brought down."""

    status: int
    said: str

    @property
    def timed_out(self) -> bool:
        """Whether a test was stopped since it took too long."""
        return self.status != 0 and "from pytest-timeout" in self.said


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of the checkout to mutate one module at a time in. environment: more variables."""

    root: Path
    environment: Mapping[str, str]

    def baseline(self, suite: Suite) -> float:
        """Return the seconds that tests take without a mutant; raise BaselineError if one fails."""
        begun = time.monotonic()
        ended = self._run(arguments(suite), None)
        if ended is None or ended.status:
            raise BaselineError(ended.said[-3000:] if ended else "the tests do not end")
        return time.monotonic() - begun

    def attempt(self, mutant: Mutant, suite: Suite, usual: float) -> Trial:
        """Return what tests that usually take some seconds make of a mutant."""
        path = self.root / mutant.file
        original = path.read_text(encoding="utf-8")
        path.write_text(mutant.source, encoding="utf-8")
        begun = time.monotonic()
        try:
            outcome = self._outcome(arguments(suite), _PATIENCE * usual + _GRACE_SECONDS)
        finally:
            path.write_text(original, encoding="utf-8")
        return Trial(mutant, outcome, time.monotonic() - begun)

    def _outcome(self, called: Sequence[str], limit: float) -> Outcome:
        """Return what a session says. What took too long is given twice the time once more."""
        for patience in (1.0, 2.0):
            ended = self._run((*called, f"--timeout={patience * _TEST_SECONDS}"), patience * limit)
            if ended is not None and not ended.timed_out:
                break
        else:
            return "too slow"
        # Of pytest: an error of its own, wrong usage, no tests.
        if ended.status in (3, 4, 5):
            raise BaselineError(f"pytest ended with {ended.status}: {ended.said[-3000:]}")
        return "caught" if ended.status else "survived"

    def _run(self, called: Sequence[str], limit: float | None) -> Ended | None:
        """Return how a session ended; None if it took longer than its limit in seconds."""
        output = self.root.with_name(f"{self.root.name}.out")
        options = ("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0")
        more = {**SCHEDULES, **self.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        more["PYTHONPATH"] = str(self.root)
        process = multiprocessing.get_context("forkserver").Process(
            target=_session, args=(str(self.root), more, [*options, *called], str(output))
        )
        process.start()
        process.join(limit)
        late = process.is_alive()
        if late and process.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join()
        said = output.read_text(encoding="utf-8", errors="replace")
        return None if late else Ended(process.exitcode or 0, said)


def _session(root: str, more: Mapping[str, str], called: list[str], output: str) -> None:
    """Be a pytest session in a tree, in a process that has imported nothing of the project."""
    os.setsid()
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.chdir(root)
    os.environ.update(more)
    # Else byte code is told from its source by seconds and size, which a mutant may share.
    sys.dont_write_bytecode = True
    sys.path.insert(0, root)
    # What is known of the checkout, this module for one, is imported anew from the tree.
    ours = {path.parent.name for path in Path(root).glob("*/__init__.py")}
    for name in [name for name in sys.modules if name.split(".")[0] in ours]:
        del sys.modules[name]
    sys.exit(int(pytest.main(called)))


def copied(checkout: Path, into: Path, environment: Mapping[str, str]) -> Tree:
    """Return a copy of what git knows of a checkout or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (checkout / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, into / name)
    # Told from its source by what that holds, so that a mutant is compiled anew and nothing else.
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(into, quiet=1, invalidation_mode=mode)
    return Tree(into, environment)
