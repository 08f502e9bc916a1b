"""``millrace ask``: the model of a run and of settings answers as the run did; records, files."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import millrace
from millrace.answer_files import RECORD_KEY
from millrace.answer_tables import SCHEMAS
from streams.asking.question import Question
from tests.millrace.conftest import Program
from tests.models_on_disk import CONTEXT

TEXTS = [" ".join(f"w{(7 * d + 3 * p) % 60}" for p in range(12)) for d in range(6)]
NEAR: dict[str, Any] = {"abs": 1e-5, "rel": 1e-5}


def test_a_snapshot_and_settings_answer_as_the_run_did(
    program: Program, disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    of_model = ("--model", disk / "gpt2", "--dictionary", disk / "standard")
    done = program(
        "run", tmp_path / "docs.jsonl", *of_model, "--dictionary", disk / "topk", "--bos",
        "--context", CONTEXT, "--store", "kept", "--device", "cpu", "--k", 3,
    )  # fmt: skip
    assert done.status == 0, done.lines
    run = millrace.open("kept")
    features = run.features.to_pandas()
    numbers = {(row["source"], row["index"]): row for row in features.to_dict("records")}
    label = "{source}:{index}".format(**max(numbers.values(), key=lambda row: row["firing_tokens"]))
    example = run.feature(label).examples(k=1)[0]
    wanted = ("--feature", label, "--format", "json", "--device", "cpu")
    asked = program("ask", *TEXTS, "--snapshot", "kept", *wanted, "--save-record", "asked.json")
    assert asked.status == 0, asked.lines
    found = json.loads(asked.out)
    text = max(
        found["answer"]["texts"], key=lambda t: max(v or 0 for v in t["values"][0]["values"])
    )
    assert text["ids"] == list(example.token_ids)
    values = [value or 0.0 for value in text["values"][0]["values"]]
    assert values == pytest.approx(list(example.activations), **NEAR)
    assert len(found["answer"]["totals"]) > 10
    for one in found["answer"]["totals"]:
        of_run = numbers[one["source"], one["index"]]
        assert one["tokens"] == of_run["firing_tokens"]
        assert one["maximum"] == pytest.approx(of_run["max_activation"], **NEAR)
    assert [source["name"] for source in found["answer"]["sources"]] == ["sae", "sae-2"]
    assert found["record"] == json.loads(Path("asked.json").read_text())
    assert any("stored rows begin with it" in line for line in found["record"]["setup"]["assumed"])

    again = program("ask", "--record", "asked.json", "--format", "json", "--device", "cpu")
    assert json.loads(again.out)["answer"] == found["answer"]
    of_run = program("ask", *TEXTS, "--run", "run", *wanted)  # from the records on the broker
    assert json.loads(of_run.out)["answer"] == found["answer"]
    assert json.loads(of_run.out)["record"]["setup"]["assumed"] == []
    other = json.loads(Path("asked.json").read_text())
    other["setup"]["sources"][0]["content"] = "0" * 32
    Path("other.json").write_text(json.dumps(other))
    assert "is not the one that run" in program("ask", "--record", "other.json").refusal()

    Path("lines.txt").write_text(TEXTS[0] + "\n\n" + TEXTS[1] + "\n")
    out = ("--format", "parquet", "--table", "values", "--out", "a.parquet", "--feature", "sae:7")
    settings = (*of_model, "--device", "cpu", "--top", 2)
    assert program("ask", "--file", "lines.txt", "--lines", *settings, *out).status == 0
    table = pq.read_table("a.parquet")
    assert table.schema.remove_metadata() == SCHEMAS["values"]
    assert json.loads(table.schema.metadata[RECORD_KEY])["question"]["texts"] == TEXTS[:2]
    assert sorted(set(table["text"].to_pylist())) == [0, 1]

    rows = program("ask", TEXTS[0], *settings, "--format", "csv").out
    listed = list(csv.DictReader(io.StringIO(rows)))
    page = program("ask", TEXTS[0], *settings).out
    assert [row["rank"] for row in listed] == ["1", "2"]
    assert all(f"sae:{row['index']} " in page for row in listed)
    asker = millrace.open_model(
        model={"path": str(disk / "gpt2"), "device": "cpu"},
        dictionaries=[{"name": "sae", "path": str(disk / "standard")}],
    )
    (answered,) = asker.ask(Question((TEXTS[0],), top=2)).texts
    assert [one.index for one in answered.features] == [int(row["index"]) for row in listed]
    assert (
        "tokens are others"
        in program(
            "ask", "w1", "--snapshot", "kept", "--tokenizer", other_tokenizer(tmp_path, disk)
        ).refusal()
    )


def other_tokenizer(folder: Path, disk: Path) -> Path:
    """Return a folder with a tokenizer whose tokens differ in one."""
    made = folder / "tokenizer"
    made.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (made / name).write_text((disk / "gpt2" / name).read_text().replace('"w7"', '"v7"'))
    return made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing is asked: give a text"),
        (("",), "text 1 is empty"),
        (("w1", "--format", "parquet"), "Parquet needs a file"),
        (("w1", "--record", "x"), "a record says what is asked"),
        (("--record", "nowhere"), "No such file"),
        (("--file", "nowhere"), "nowhere: No such file"),
        (("w1", "--by", "fame"), "'fame' is not one of"),
        (("w1", "--snapshot", "nowhere"), "no snapshot at"),
        (("w1",), "there is no run"),
        (("w1", "--model", "nowhere"), "name a dictionary"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    program: Program, arguments: tuple[str, ...], said: str
) -> None:
    assert said in program("ask", *arguments).refusal()


def test_a_model_of_settings_computes_no_numbers_of_a_run(disk: Path) -> None:
    asker = millrace.open_model(
        model={"path": str(disk / "gpt2"), "device": "cpu"},
        dictionaries=[{"name": "sae", "path": str(disk / "standard")}],
        statistics={"tokens": {"budget": 8}},
    )
    run = asker.engine.plan.run
    base = asker.setup.record()
    assert [each.name for each in run.statistics] == [each.name for each in base.statistics]
    assert [each.name for each in run.rankings] == [each.name for each in base.rankings]
