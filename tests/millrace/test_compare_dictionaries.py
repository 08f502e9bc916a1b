"""``millrace compare-dictionaries``: the tables of the Python function, in each form."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import millrace
from downstream.analysis.dictionaries import Choices, compare_dictionaries
from millrace.answer_files import RECORD_KEY
from millrace.dictionary_comparison import SMALL
from tests.downstream.analysis.domain_runs import Run
from tests.millrace.conftest import Program, but_time


@pytest.fixture
def store(program: Program) -> Path:
    folder = Path("store").absolute()
    Run(folder, rankings=("maximum", "shared=1000"))
    return folder


def test_each_form_holds_the_tables(program: Program, store: Path) -> None:
    found = compare_dictionaries(
        millrace.open(store), None, Choices(top=2, least=4, share=0.3, ratio=1.0)
    )
    how = ("store", "--no-weights", "--top", 2, "--least", 4, "--share", 0.3, "--ratio", 1)
    asked = program("compare-dictionaries", *how, "--format", "json")
    assert asked.status == 0, asked.lines
    answer = json.loads(asked.out)
    for name in SMALL:
        assert answer[name] == found.tables[name].to_pylist()
    assert answer["record"]["content"] == millrace.open(store).content
    assert answer["record"]["choices"]["ratio"] == 1.0
    assert answer["notes"] == list(found.notes) == ["decoder directions were not read"]
    out = ("--format", "parquet", "--out", "m.parquet", "--table", "matches")
    assert program("compare-dictionaries", *how, *out).status == 0
    table = pq.read_table("m.parquet")
    record = json.loads(table.schema.metadata[RECORD_KEY])
    assert {**record, "asked": ""} == {**answer["record"], "asked": ""}
    assert table.replace_schema_metadata(None).equals(found.tables["matches"])
    rows = program("compare-dictionaries", *how, "--format", "csv").out
    listed = [(row["source"], int(row["index"])) for row in csv.DictReader(io.StringIO(rows))]
    assert listed == [(row["source"], row["index"]) for row in answer["leaders"]]
    page = program("compare-dictionaries", *how).out
    assert "\nspecialists by domain\n" in page
    for row in answer["overlap"]:
        said = f"{row['source']} in {row['other_source']}: {row['shared']} of {row['active']} "
        assert said in page
    assert all(f"{row['source']}:{row['index']} " in page for row in answer["leaders"])


def test_a_comparison_is_kept_and_runs_again(program: Program, store: Path) -> None:
    how = ("store", "--top", 2, "--least", 4, "--only", "sae", "--only", "other")
    place = ("--dictionary", "sae=nowhere")
    asked = program("compare-dictionaries", *how, *place, "--format", "json")
    assert asked.status == 0, asked.lines
    assert program("compare-dictionaries", *how, "--no-keep").status == 0
    (listed,) = json.loads(program("asked", "list", "--store", "store", "--json").out)
    assert (listed["kind"], listed["texts"]) == ("compare-dictionaries", 0)
    run = ("asked", "run", listed["id"], "--store", "store", "--format")
    assert but_time(program(*run, "json").out) == but_time(asked.out)
    Path("a.json").write_text(program("asked", "show", listed["id"], "--store", "store").out)
    again = program("compare-dictionaries", "--record", "a.json", "--format", "json")
    assert but_time(again.out) == but_time(asked.out)
    assert json.loads(asked.out)["record"]["places"] == {"sae": "nowhere"}
    rows = csv.DictReader(io.StringIO(program(*run, "csv", "--table", "overlap").out))
    assert [row["source"] for row in rows] == ["sae", "other"]
    said = program(*run, "csv", "--table", "totals").refusal()
    assert said.startswith("an answer of compare-dictionaries has no table 'totals', but")
    Path("b.json").write_text(asked.out.replace(listed_content(asked.out), "0" * 64))
    said = program("compare-dictionaries", "--record", "b.json").refusal()
    assert "has other content" in said
    Path("c.json").write_text(asked.out.replace('"share": 0.5', '"share": 7'))
    said = program("compare-dictionaries", "--record", "c.json").refusal()
    assert "c.json cannot be asked again: choices.share" in said
    said = program("compare-dictionaries", "store", "--record", "a.json").refusal()
    assert "name a snapshot, or a --record" in said


def listed_content(answer: str) -> str:
    return str(json.loads(answer)["record"]["content"])


def test_what_cannot_be_compared_is_one_line(program: Program, store: Path) -> None:
    said = program("compare-dictionaries", store, "--only", "nothing").refusal()
    assert said == "the run has no source 'nothing' (there are: sae, other)"
    assert "no snapshot at" in program("compare-dictionaries", "nowhere").refusal()
    assert "name a snapshot" in program("compare-dictionaries").refusal()
    said = program("compare-dictionaries", store, "--dictionary", "sae").refusal()
    assert said == "--dictionary sae: write NAME=FOLDER"
