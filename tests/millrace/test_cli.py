"""The program where all is well: help, start-up, and where settings come from."""

import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from consumers.models.batch_sizes import usual_batch_rows, usual_micro_batch
from millrace import cli
from millrace.settings import Settings
from tests.millrace.conftest import Program

SUBVERBS = {
    "corpora": ("list", "show", "dump", "load", "rebatch", "delete"),
    "runs": ("create", "list", "show", "delete"),
    "dlq": ("list", "show", "export"),
    "cluster": ("decoder", "coactivation", "merges"),
}
ALL = [[verb] for verb in cli._VERBS] + [[v, sub] for v, subs in SUBVERBS.items() for sub in subs]
MODEL_LIBRARIES = ("torch", "transformers", "transformer_lens", "sae_lens", "datasets")


@pytest.mark.parametrize("verb", ALL, ids=" ".join)
def test_every_verb_helps(program: Program, verb: list[str]) -> None:
    ended = program(*verb, "--help")
    assert (ended.status, ended.lines) == (0, [])
    assert ended.out.startswith(f"Usage: millrace {' '.join(verb)}")
    options = re.findall(r"^  (-\S.*)$", ended.out, re.MULTILINE)
    assert options


@pytest.mark.parametrize("verb", [verb for verb in ALL if verb[0] not in ("broker", "demo")])
def test_every_option_is_explained(verb: list[str]) -> None:
    command: Any = cli.cli
    for name in verb:
        command = command.get_command(None, name)
    for parameter in command.params:
        said = getattr(parameter, "help", "an argument")
        assert said, (verb, parameter.name)
        assert (
            said == "an argument" or said[0].isupper() or said[:3] in ("cpu", "kaf", "tex", "tra")
        )


def test_the_verbs_and_their_lines_agree(program: Program) -> None:
    assert list(cli._VERBS) == list(cli._HELP)
    ended = program("--help")
    assert ended.status == 0
    assert all(line in " ".join(ended.out.split()) for line in cli._HELP.values())


def test_help_shows_the_defaults_of_the_settings(program: Program) -> None:
    shown = " ".join(program("run", "--help").out.split())
    settings = Settings()
    for default in (
        settings.run.k,
        f"{usual_batch_rows(128, gpu=False)}, for a GPU {usual_batch_rows(128, gpu=True)}",
        settings.corpus.partitions,
        f"{usual_micro_batch(128, gpu=False)}, on a GPU what holds 32,768 tokens",
        settings.model.device,
        settings.broker,
        settings.store,
        "text",
    ):
        assert f"[default: {default}]" in shown


def test_nothing_said_is_help(program: Program) -> None:
    ended = program()
    assert ended.status == 2
    assert ended.lines[0] == "Usage: millrace [OPTIONS] COMMAND [ARGS]..."


def fresh(code: str) -> tuple[float, list[str]]:
    """Return what code took in a process of its own, and the words it printed.

    Seconds of processor time, which other processes do not change much.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout.split()


def test_help_comes_at_once() -> None:
    code = "import millrace.cli as c; c.run_program(['--help'])"
    fresh(code)  # byte code
    assert min(fresh(code)[0] for _ in range(3)) < 1.0


@pytest.mark.parametrize(
    "module",
    [
        "millrace.verbs.workers, consumers.service.serving, millrace.settings",
        "downstream.dashboard.app",
        "consumers.service.aggregate_agent",
        "millrace.verbs.produce, millrace.producing",
        "millrace.verbs.runs, consumers.health.run_status, consumers.runs.deletion",
        "millrace.verbs.dlq, millrace.verbs.repair, millrace.verbs.snapshot",
        "consumers.snapshots.snapshots",
    ],
)
def test_all_but_the_activation_side_start_without_models(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    seconds, loaded = fresh(code)
    assert not set(MODEL_LIBRARIES) & set(loaded)
    if seconds > 3.0:  # byte code may have had to be made
        assert min(fresh(code)[0] for _ in range(3)) < 3.0


def test_an_aggregate_worker_loads_no_models_up_to_its_first_record() -> None:
    code = """
import sys
from millrace.cli import run_program
assert run_program(["aggregates", "--run", "x", "--broker", "memory://x"]) == 2
print(*sys.modules)
"""
    assert not set(MODEL_LIBRARIES) & set(fresh(code)[1])


def test_create_says_where_settings_come_from(
    program: Program, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: str
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("gpt2", "standard"):
        (folder / name).symlink_to(disk / name)
    (folder / "text.txt").write_text("w1 w2 w3 " * 9)
    file = folder / "run.toml"
    file.write_text(
        'store = "out"\n[corpus]\nname = "words"\ntext = ["text.txt"]\n[run]\nk = 9\n'
        '[model]\npath = "gpt2"\n[[dictionaries]]\nname = "sae"\npath = "standard"\n'
    )
    monkeypatch.setenv("MILLRACE_RUN__SHARDS", "2")
    monkeypatch.setenv("MILLRACE_SETTINGS", str(file))
    assert program("produce", "--broker", broker, "--limit", "30tokens").status == 0
    options = ("--broker", broker, "--k", 5, "--ranking", "maximum", "--ranking", "random=3")
    ended = program("runs", "create", *options, "--device", "cpu")
    assert (ended.status, ended.lines) == (0, [])
    *came_from, forward, source, rate, costs, _ = ended.out.splitlines()
    assert forward.startswith("forward: transformers")
    assert source.startswith("sae: 48 components at blocks.1.hook_resid_post (32 wide), off sae.")
    assert "tokens/s on 2 rows" in rate
    assert costs.startswith("costs random: ")
    assert came_from == [
        f"store = '{folder}/out' ({file})",
        f"corpus.name = 'words' ({file})",
        f"corpus.text = ['{folder}/text.txt'] ({file})",
        "run.k = 5 (the options)",
        "run.without = ['default'] (the environment)",
        "run.shards = '2' (the environment)",
        "run.rankings = ('maximum', 'random=3') (the options)",
        f"model.path = '{folder}/gpt2' ({file})",
        "model.device = 'cpu' (the options)",
        f"dictionaries[0].name = 'sae' ({file})",
        f"dictionaries[0].path = '{folder}/standard' ({file})",
        f"broker = '{broker}' (the options)",
    ]
    shown = program("runs", "show", "run", "--broker", broker)
    assert "k=5, 2 shards" in shown.out
    assert "examples by maximum (5), random (3)" in shown.out
    assert program("runs", "create", *options).status == 0, "twice is once"


def test_a_worker_is_told_everything_by_variables(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broker: str
) -> None:
    (tmp_path / "run.toml").write_text('[run]\nname = "from-file"\n')
    monkeypatch.setenv("MILLRACE_SETTINGS", str(tmp_path / "run.toml"))
    monkeypatch.setenv("MILLRACE_BROKER", broker)
    monkeypatch.setenv("MILLRACE_CACHE", "/cache")
    monkeypatch.setenv("MILLRACE_WAIT", "1.5")
    assert "there is no run 'from-file'" in program("aggregates").refusal()
    monkeypatch.setenv("MILLRACE_RUN__NAME", "from-variable")
    begun = time.monotonic()
    assert "there is no run 'from-variable'" in program("activations").refusal()
    assert time.monotonic() - begun > 1.0
    monkeypatch.setenv("MILLRACE_WAIT", "long")
    assert "'long' is not a valid float" in program("activations").refusal()
