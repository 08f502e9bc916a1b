"""Runs made for the dashboard: what the broker offers, the command, and what became of it."""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from downstream.dashboard.starting import StartError, WantedRun, worker_commands
from millrace.settings import load_settings
from millrace.starting import RunStarter
from millrace.verbs.runs import create
from millrace.verbs.workers import activations, aggregates
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
    """Runs programs that say a line and end with a status. serve: what its workers do."""

    status = 0
    serve: tuple[str, ...] = ()

    def command(self, wanted: WantedRun) -> list[str]:
        said = f"import sys; print('first\\nsaid', file=sys.stderr); sys.exit({self.status})"
        return [sys.executable, "-c", said]

    def workers(self, wanted: WantedRun) -> list[list[str]]:
        return [[sys.executable, "-c", code] for code in self.serve]


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


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Saying]:
    service = make_service(f"memory://{NAME}-served", tmp_path, f"{NAME}-served")
    yield Saying(service.client, None, "", "", serving=True)
    forget(f"{NAME}-served")


FINE = "import sys; print('all well', file=sys.stderr)"
FAILS = "import sys; print('no memory', file=sys.stderr); sys.exit(3)"
STAYS = "import time; time.sleep(600)"


@pytest.mark.parametrize(
    ("workers", "state", "said"),
    [((FINE, FINE), "finished", "all well"), ((STAYS, FAILS), "failed", "no memory")],
)
def test_workers_serve_the_run_until_it_is_done_or_one_fails(
    serving: Saying, workers: tuple[str, ...], state: str, said: str
) -> None:
    serving.serve = workers
    serving.start(WANTED)
    serving.wait()
    (job,) = serving.jobs
    assert (job.name, job.state, job.said) == ("new-run", state, said)
    assert [line.split()[1] for line in job.workers] == ["aggregates", "activations"]


def test_workers_end_with_the_dashboard_and_one_run_is_served_at_a_time(
    serving: Saying, tmp_path: Path
) -> None:
    here = tmp_path / "process"
    serving.serve = (f"import os; open({str(here)!r}, 'w').write(str(os.getpid())); {STAYS}",) * 2
    serving.start(WANTED)
    deadline = time.monotonic() + 60
    while not (here.exists() and here.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert serving.jobs[0].state == "serving"
    with pytest.raises(StartError, match="just being made"):
        serving.start(replace(WANTED, name="other"))
    serving.close()
    assert serving.jobs[0].state == "failed"
    with pytest.raises(ProcessLookupError):
        os.kill(int(here.read_text()), 0)


def test_the_workers_commands_are_those_of_the_program(starter: RunStarter) -> None:
    for (python, *rest), verb in zip(
        starter.workers(WANTED), (aggregates, activations), strict=True
    ):
        assert (python, rest[:2]) == (sys.executable, ["-m", "millrace"])
        assert rest[2] == verb.name
        asked = verb.make_context(str(verb.name), rest[3:]).params
        assert (asked["run_name"], asked["until_done"]) == ("new-run", True)
        assert asked["broker"] == f"memory://{NAME}"
    for line, verb in zip(worker_commands("a run"), (aggregates, activations), strict=True):
        _, name, *rest = shlex.split(line)
        assert (name, verb.make_context(name, rest).params["run_name"]) == (verb.name, "a run")
