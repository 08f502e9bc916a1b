"""Runs made for the dashboard: what the broker offers, the command, and what became of it."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from downstream.dashboard.starting import StartError, WantedRun
from millrace.settings import load_settings
from millrace.starting import RunStarter
from millrace.verbs.runs import create
from streams.transport.memory.broker import forget
from tests.service import make_service

NAME = "starting"
WANTED = WantedRun(
    "new-run", f"{NAME}-text", "gpt2", (("sae", "folder"), ("listed", "release#id")), 50,
    ("maximum", "random"), "auto", ("domains",),
)  # fmt: skip


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[RunStarter]:
    service = make_service(f"memory://{NAME}", tmp_path, NAME)
    yield RunStarter(service.client, None, f"memory://{NAME}", str(tmp_path))
    forget(NAME)


class Saying(RunStarter):
    """Runs a program that says a line and ends with a status."""

    status = 0

    def command(self, wanted: WantedRun) -> list[str]:
        said = f"import sys; print('first\\nsaid', file=sys.stderr); sys.exit({self.status})"
        return [sys.executable, "-c", said]


def test_what_the_broker_holds_is_offered(starter: RunStarter) -> None:
    found = starter.offered()
    assert found.corpora == (f"{NAME}-text",)
    assert len(found.models) == 1
    assert {"maximum", "shared"} <= set(found.rankings)
    assert {"domains", "tokens"} <= set(found.statistics)


def test_the_command_and_its_variables_are_settings_of_that_run(
    starter: RunStarter, tmp_path: Path
) -> None:
    python, *rest = starter.command(WANTED)
    assert (python, rest[:4]) == (sys.executable, ["-m", "millrace", "runs", "create"])
    asked = create.make_context("create", rest[4:]).params
    assert (asked["run_name"], asked["corpus"], asked["k"]) == ("new-run", f"{NAME}-text", 50)
    assert (asked["rankings"], asked["statistics"]) == (("maximum", "random"), ("domains",))
    assert asked["micro_batch"] == "auto"
    settings = load_settings(None, starter.variables(WANTED), {})
    assert settings.model.path == "gpt2"
    places = [(one.name, one.release, one.id) for one in settings.dictionaries]
    assert places == [("sae", None, None), ("listed", "release", "id")]
    assert settings.dictionaries[0].path == str(Path("folder").absolute())
    assert [*settings.sources()] == [*settings.dictionaries]


@pytest.mark.parametrize(("status", "state"), [(0, "done"), (2, "failed")])
def test_what_became_of_a_run_is_told(tmp_path: Path, status: int, state: str) -> None:
    service = make_service(f"memory://{NAME}-made", tmp_path, f"{NAME}-made")
    saying = Saying(service.client, None, "", "")
    saying.status = status
    try:
        saying.start(WANTED)
        saying.wait()
        assert [(job.name, job.state, job.said) for job in saying.jobs] == [
            ("new-run", state, "said")
        ]
        with pytest.raises(StartError, match="there is a run"):
            saying.start(replace(WANTED, name=f"{NAME}-made"))
    finally:
        forget(f"{NAME}-made")
