"""``millrace export``: formats from the registry, and one line for what cannot be."""

from pathlib import Path

import pytest

from downstream.exporters.registry import EXPORTERS
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.millrace.conftest import Program


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one small snapshot."""
    folder = tmp_path_factory.mktemp("store")
    write_snapshot(str(folder), small())
    return folder


def test_every_format_has_a_command_with_its_options(program: Program) -> None:
    listed = program("export", "--help")
    assert listed.status == 0
    for exporter in EXPORTERS:
        assert exporter.name in listed.out
        shown = program("export", exporter.name, "--help")
        assert shown.status == 0
        for option in exporter.options:
            assert f"--{option.name}" in shown.out


def test_a_snapshot_is_written_and_said(program: Program, store: Path) -> None:
    done = program("export", "saedashboard", store, "out", "--examples", 2, "--model-id", "gpt2")
    assert (done.status, done.lines) == (0, [])
    assert done.out.splitlines()[0] == "out"
    assert "no logit lens is attached" in done.out
    assert '"model_id":"gpt2"' in (Path("out") / "batch-0.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["neuronpdia", "{store}", "out"], "Did you mean neuronpedia?"),
        (["zip", "{store}", "out"], "No such command 'zip'"),
        (["csv", "{store}"], "Missing argument 'OUT'"),
        (["csv", "nowhere", "out"], "no snapshot at"),
        (["csv", "{store}", "out", "--run", "x"], "has no run 'x'"),
        (["csv", "{store}", "out", "--snapshot", "x"], "has no snapshot 'x'"),
        (["csv", "{store}", "there"], "there is there already: name another, or say --replace"),
        (["csv", "{store}", "out", "--table", "x"], "there is no table 'x' (there are: clusters"),
        (["neuronpedia", "{store}", "out", "--examples", "few"], "'few' is not a valid integer"),
        (["neuronpedia", "{store}", "out", "--features", "99"], "is not among the 5 there are"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], line: str, program: Program, store: Path
) -> None:
    Path("there").write_text("mine")
    given = [argument.format(store=store) for argument in arguments]
    assert line in program("export", *given).refusal()
    assert Path("there").read_text() == "mine"
    assert [path.name for path in Path().iterdir() if not path.name.startswith(".")] == ["there"]
