"""Running tests on a mutant, in a copy of the tree, so that the checkout is never touched."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.mutation.fast_tests import SCHEDULES, FastTests, arguments
from tests.mutation.mutants import Mutant

Outcome = Literal["caught", "too slow", "survived"]
_PATIENCE, _GRACE_SECONDS = 3.0, 60.0


class BaselineError(Exception):
    """The tests fail without any mutant, so that they say nothing about one."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant."""

    mutant: Mutant
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of the checkout to mutate one module at a time in. environment: more variables."""

    root: Path
    environment: Mapping[str, str]

    def baseline(self, tests: FastTests) -> float:
        """Return the seconds that tests take without a mutant; raise BaselineError if one fails."""
        seconds, ended = self._run(tests, None)
        if ended is None or ended.returncode:
            raise BaselineError(ended.stdout[-3000:] if ended else "the tests do not end")
        return seconds

    def attempt(self, mutant: Mutant, tests: FastTests, usual: float) -> Trial:
        """Return what tests that usually take some seconds make of a mutant."""
        path = self.root / mutant.file
        original = path.read_text(encoding="utf-8")
        path.write_text(mutant.source, encoding="utf-8")
        try:
            seconds, ended = self._run(tests, _PATIENCE * usual + _GRACE_SECONDS)
        finally:
            path.write_text(original, encoding="utf-8")
        if ended is None:
            return Trial(mutant, "too slow", seconds)
        # Of pytest: an error of its own, wrong usage, no tests. Below 0 the mutant brought it down.
        if ended.returncode in (3, 4, 5):
            raise BaselineError(f"pytest ended with {ended.returncode}: {ended.stdout[-3000:]}")
        return Trial(mutant, "caught" if ended.returncode else "survived", seconds)

    def _run(
        self, tests: FastTests, limit: float | None
    ) -> tuple[float, "subprocess.CompletedProcess[str] | None"]:
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider",
            "--hypothesis-seed=0", "--timeout=120", *arguments(tests),
        ]  # fmt: skip
        # Byte code is told from its source by seconds and size, which a mutant may share.
        more = {**SCHEDULES, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.root)}
        begun = time.monotonic()
        try:
            ended = subprocess.run(
                command,
                cwd=self.root,
                env={**os.environ, **more, **self.environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            ended = None
        return time.monotonic() - begun, ended


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
    return Tree(into, environment)
