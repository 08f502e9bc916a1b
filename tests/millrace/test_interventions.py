"""``millrace steer`` and ``millrace ablate``: pages, JSON, records, refusals."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from millrace.answer_files import RECORD_KEY
from millrace.intervention_files import STRENGTHS
from tests.millrace.conftest import Program

TEXT = "w1 w2 w3 w4 w5"


def test_ablations_and_steerings_are_done_again_from_their_records(
    program: Program, disk: Path
) -> None:
    model = ("--model", disk / "gpt2", "--dictionary", disk / "standard", "--device", "cpu")
    first = program("ablate", TEXT, *model, "--top", 3, "--format", "json", "--no-keep")
    assert not Path(".millrace").exists()
    assert first.status == 0, first.lines
    Path("ablated.json").write_text(first.out)
    again = program("ablate", "--record", "ablated.json", "--format", "json", "--device", "cpu")
    found = json.loads(first.out)["answer"]
    assert json.loads(again.out)["answer"] == found
    assert len(found["effects"]) == 3
    page = program("ablate", TEXT, *model, "--top", 3).out
    strongest = found["effects"][0]
    assert f"{strongest['source']}:{strongest['index']} " in page.splitlines()[2]

    label = f"{strongest['source']}:{strongest['index']}"
    steering = ("--feature", label, "--alpha", 0.5, "--alpha", 8, "--tokens", 3, "--scale", 2)
    done = program("steer", TEXT, *model, *steering, "--format", "json")
    assert done.status == 0, done.lines
    Path("steered.json").write_text(done.out)
    answer = json.loads(done.out)["answer"]
    assert [one["alpha"] for one in answer["strengths"]] == [0.0, 0.5, 8.0]
    assert json.loads(done.out)["record"]["request"]["scale"] == 2.0
    lines = program("steer", "--record", "steered.json", "--device", "cpu").out.splitlines()
    assert sum(line.endswith("best") for line in lines) == 1
    assert any(repr(answer["strengths"][2]["texts"][0]) in line for line in lines)
    saved = ("--record", "steered.json", "--device", "cpu", "--format")
    assert program("steer", *saved, "parquet", "--out", "steered.parquet").status == 0
    table = pq.read_table("steered.parquet")
    assert table.schema.remove_metadata() == STRENGTHS
    assert table["continuation"].to_pylist() == [o["texts"][0] for o in answer["strengths"]]
    assert json.loads(table.schema.metadata[RECORD_KEY])["request"]["feature"] == label
    rows = program("ablate", "--record", "ablated.json", "--device", "cpu", "--format", "csv").out
    listed = list(csv.DictReader(io.StringIO(rows)))
    assert [float(row["kl"]) for row in listed] == [one["kl"] for one in found["effects"]]
    other = program("ablate", "--record", "steered.json").refusal()
    assert "is the record of another verb" in other


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ablate",), "nothing is asked: give a text"),
        (("steer", "w1"), "there is no run"),
        (("steer", "w1", "--alpha", "nan"), "no finite number"),
        (("steer", "w1", "--feature", "sae:1", "--record", "x"), "a record says what is asked"),
        (("ablate", "--record", "nowhere"), "No such file"),
        (("ablate", "w1", "--by", "magic"), "'magic' is not one of"),
        (("ablate", "w1", "--format", "parquet"), "Parquet needs a file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    program: Program, arguments: tuple[str, ...], said: str
) -> None:
    assert said in program(*arguments).refusal()
