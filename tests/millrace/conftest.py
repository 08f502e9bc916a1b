"""The program run inside this process, and models on disk for it, made once."""

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from millrace.cli import run_program
from streams.transport.memory.broker import forget
from tests.models_on_disk import ARCHITECTURES, SHAPES, save_dictionary, save_model

_serial = itertools.count()


@dataclass(frozen=True)
class Ended:
    """How the program ended; lines are those of the error output that are not blank."""

    status: int
    out: str
    lines: list[str]

    def refusal(self) -> str:
        """Return the one line that says what is wrong; fails unless that is all there is."""
        assert self.status == 2, (self.status, self.lines, self.out)
        assert len(self.lines) == 1, self.lines
        assert self.out == ""
        start, _, said = self.lines[0].partition("millrace: error: ")
        assert start == ""
        assert said
        assert "Traceback" not in said
        return said


Program = Callable[..., Ended]


def but_time(answer: str) -> dict[str, Any]:
    """Return an answer in JSON, but for when its record was asked."""
    found: dict[str, Any] = json.loads(answer)
    assert found["record"].pop("asked")
    return found


@pytest.fixture
def program(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Program]:
    """Run the program with arguments, in an empty folder and with an empty broker of its own."""
    # The embedded broker of those who name none: another test may have left a corpus there.
    forget("local")
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level

    def run(*arguments: Any) -> Ended:
        capfd.readouterr()
        status = run_program([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ended(status, out, [line for line in err.splitlines() if line.strip()])

    yield run
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models gpt2, llama and neox, a dictionary per architecture, and two that fit none."""
    folder = tmp_path_factory.mktemp("disk")
    for shape in SHAPES:
        save_model(folder / shape, shape)
    for architecture in ARCHITECTURES:
        save_dictionary(folder / architecture, architecture)
    save_dictionary(folder / "wide", "standard", width=33)
    save_dictionary(folder / "elsewhere", "standard", hook="blocks.9.hook_resid_post")
    return folder


@pytest.fixture
def broker() -> str:
    """The address of an embedded broker of its own."""
    return f"memory://program-{next(_serial)}"
