"""``millrace tune``, and "auto" on its way from an option to the run record."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.catalog.runs import get_run
from streams.records.run_identity import run_id
from streams.transport.connect import connect
from tests.millrace.conftest import Ended, Program

BRIEF = ("--seconds", 0, "--device", "cpu")


@pytest.fixture
def parts(disk: Path) -> list[Any]:
    return ["--model", disk / "gpt2", "--dictionary", disk / "standard"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text("\n\n".join(f"w{n % 60} w{n % 7} w{n % 11}" * 9 for n in range(40)))
    return file


def table_rows(ended: Ended) -> list[list[str]]:
    """Return the cells of the table's body."""
    lines = [line for line in ended.out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_tune_prints_a_table_and_what_to_take(
    program: Program, parts: list[Any], text: Path
) -> None:
    ended = program("tune", text, *parts, *BRIEF, "--batch-size", 6)
    assert ended.status == 0, ended.lines
    rows = table_rows(ended)
    assert [row[:2] for row in rows] == [
        [dtype, str(size)] for dtype in ("float32", "bfloat16") for size in (1, 2, 4, 6)
    ]
    assert all(
        int(row[2].replace(",", "")) > 0 and int(row[4].replace(",", "")) > 0 for row in rows
    )
    lines = ended.out.splitlines()
    for dtype in ("float32", "bfloat16"):
        (taken,) = [row[1] for row in rows if row[0] == dtype and row[-1] == "best"]
        assert any(line.startswith(f"{dtype}: micro_batch = {taken}, ") for line in lines)
    assert "batches of 6 rows of 16 tokens (text)" in lines[0]
    assert "another dtype changes results: millrace diff compares" in ended.out
    assert lines[-1] == "best: the smallest micro-batch within 3% of the fastest"
    assert not any(Path().iterdir()), "nothing is written"


def test_tune_gives_the_same_as_json(program: Program, parts: list[Any]) -> None:
    ended = program("tune", *parts, *BRIEF, "--batch-size", 4, "--json")
    assert ended.status == 0, ended.lines
    found = json.loads(ended.out)
    assert (found["sample"], found["rows"], found["context"]) == ("random token ids", 4, 16)
    assert [one["dtype"] for one in found["advice"]] == ["float32", "bfloat16"]
    for one in found["advice"]:
        measured = one["measured"]
        assert [size["micro_batch"] for size in measured] == [1, 2, 4]
        fastest = max(size["rate"] for size in measured)
        enough = [size["micro_batch"] for size in measured if size["rate"] >= 0.97 * fastest]
        assert one["best"] == min(enough)
        assert all(len(size["rates"]) == 3 and size["peak"] > 2**20 for size in measured)


def test_tune_measures_the_dtypes_that_are_named(program: Program, parts: list[Any]) -> None:
    ended = program(
        "tune",
        *parts,
        *BRIEF,
        "--batch-size",
        2,
        "--json",
        "--dtype",
        "bfloat16",
        "--dtype",
        "float32",
    )
    found = json.loads(ended.out)["advice"]
    assert [one["dtype"] for one in found] == ["bfloat16", "float32"]


def test_tune_takes_rows_of_a_corpus_that_is_there(
    program: Program, parts: list[Any], text: Path, disk: Path, broker: str
) -> None:
    made = ("--tokenizer", disk / "gpt2", "--batch-size", 2, "--context", 8)
    assert program("produce", text, "--broker", broker, *made).status == 0
    ended = program("tune", *parts, *BRIEF, "--broker", broker, "--dtype", "float32")
    assert "batches of 2 rows of 8 tokens (text)" in ended.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dtype", "int8"), "'int8' is not one of 'float32'"),
        (("--seconds", "-1"), "-1.0 is not in the range"),
        (("--batch-size", "0"), "corpus.batch_rows = 0"),
        (("--device", "cuda:9"), "this machine has no device cuda:9"),
        (("--context", "17"), "has rows of 17 tokens, model"),
        (("--micro-batch", "4"), "No such option"),
    ],
    ids=str,
)
def test_tune_refuses_in_one_line(
    program: Program, parts: list[Any], options: tuple[str, ...], message: str
) -> None:
    assert message in program("tune", *parts, *options).refusal()


def test_tune_needs_a_model(program: Program, disk: Path) -> None:
    assert "model.path is missing" in program("tune").refusal()
    said = program("tune", "--model", disk / "gpt2", "--device", "cpu").refusal()
    assert "the run has no cluster" in said


def test_created_runs_hold_a_number(
    program: Program,
    parts: list[Any],
    disk: Path,
    text: Path,
    broker: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        f'[corpus]\nname = "words"\n[model]\npath = "{disk / "gpt2"}"\ndevice = "cpu"\n'
        f'dtype = "auto"\n[[dictionaries]]\nname = "sae"\npath = "{disk / "standard"}"\n'
    )
    at = ("--settings", file, "--broker", broker)
    assert program("produce", text, *at, "--batch-size", 4).status == 0
    ended = program("runs", "create", *at, "--micro-batch", "auto")
    assert ended.status == 0, ended.lines
    record = get_run(connect(broker), "run")
    assert record.model.micro_batch in (1, 2, 4)
    assert record.model.dtype in ("float32", "bfloat16")
    chosen = f"auto: {record.model.dtype}, micro-batch {record.model.micro_batch}"
    assert chosen in ended.out.splitlines()

    def measured_again(*_: object) -> int:
        raise AssertionError("a run that is there keeps its choice")

    monkeypatch.setattr("consumers.runs.creation.chosen_micro_batch", measured_again)
    again = program("runs", "create", *at, "--micro-batch", "auto")
    untimed = [
        [x for x in out.splitlines() if "tokens/s" not in x] for out in (again.out, ended.out)
    ]
    assert (again.status, untimed[0]) == (0, untimed[1])
    assert run_id(get_run(connect(broker), "run")) == run_id(record)


def test_run_takes_auto(
    program: Program, parts: list[Any], text: Path, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_MODEL__MICRO_BATCH", "auto")
    ended = program("run", text, *parts, "--broker", broker, "--batch-size", 4, "--device", "cpu")
    assert ended.status == 0, ended.lines
    record = get_run(connect(broker), "run")
    assert record.model.micro_batch in (1, 2, 4)
    assert f"auto: float32, micro-batch {record.model.micro_batch}" in ended.lines


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "model.micro_batch = 0"),
        ("-3", "model.micro_batch = -3"),
        ("many", "= 'many'"),
        ("8.5", "model.micro_batch = '8.5'"),
        ("AUTO", "input should be 'auto'"),
    ],
)
def test_other_micro_batches_are_refused(
    program: Program, parts: list[Any], text: Path, value: str, message: str
) -> None:
    assert message in program("run", text, *parts, "--micro-batch", value).refusal()


def test_other_dtypes_are_refused(
    program: Program, parts: list[Any], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_MODEL__DTYPE", "half")
    assert "model.dtype = 'half'" in program("run", text, *parts).refusal()
