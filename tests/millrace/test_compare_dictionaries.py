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
from tests.millrace.conftest import Program


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
    assert json.loads(table.schema.metadata[RECORD_KEY]) == answer["record"]
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


def test_what_cannot_be_compared_is_one_line(program: Program, store: Path) -> None:
    said = program("compare-dictionaries", store, "--only", "nothing").refusal()
    assert said == "the run has no source 'nothing' (there are: sae, other)"
    assert "no snapshot at" in program("compare-dictionaries", "nowhere").refusal()
    said = program("compare-dictionaries", store, "--dictionary", "sae").refusal()
    assert said == "--dictionary sae: write NAME=FOLDER"
