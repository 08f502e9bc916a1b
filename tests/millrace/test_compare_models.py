"""``millrace compare-models``: the tables of the Python function, in each form."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import millrace
from downstream.analysis.models import compare_models
from tests.downstream.analysis.test_models import Model, documents, pairs, triples
from tests.millrace.conftest import Program, but_time


@pytest.fixture
def stores(program: Program) -> tuple[Path, Path]:
    folder = Path("stores").absolute()
    Model(folder / "a", pairs, documents(1), 6, 50, seed=3)
    Model(folder / "b", triples, documents(1), 5, 50, seed=4)
    return folder / "a", folder / "b"


def test_each_form_holds_the_matches(program: Program, stores: tuple[Path, Path]) -> None:
    runs = [millrace.open(store) for store in stores]
    found = compare_models(runs)
    asked = program("compare-models", *stores, "--format", "json", "--top", 3)
    assert asked.status == 0, asked.lines
    answer = json.loads(asked.out)
    assert answer["shared_texts"] == found.shared.to_pylist()
    assert [run["content"] for run in answer["record"]["runs"]] == [run.content for run in runs]
    mutual = [r for r in found.matches.to_pylist() if r["a"] == 0 and r["mutual"]]
    best = sorted(mutual, key=lambda r: (-r["jaccard"], -r["both"], r["cluster_a"]))[:3]
    assert answer["best_matches"] == best
    out = ("--format", "parquet", "--out", "m.parquet")
    assert program("compare-models", *stores, *out).status == 0
    assert pq.read_table("m.parquet").replace_schema_metadata(None).equals(found.matches)
    rows = program("compare-models", *stores, "--format", "csv", "--table", "shared_texts").out
    (shared,) = csv.DictReader(io.StringIO(rows))
    assert int(shared["bytes"]) == found.shared["bytes"][0].as_py()
    page = program("compare-models", *stores, "--top", 3).out
    assert f"0 and 1 share {shared['documents']} documents: " in page
    for row in best:
        assert f"sae3:{row['label_a']} " in page
        assert f"sae4:{row['label_b']} " in page


def test_a_comparison_is_kept_in_the_first_store_and_runs_again(
    program: Program, stores: tuple[Path, Path]
) -> None:
    asked = program("compare-models", *stores, "--format", "json", "--top", 3)
    assert asked.status == 0, asked.lines
    assert program("compare-models", *stores, "--no-keep").status == 0
    assert not (stores[1] / "asked").exists()
    of = ("--store", stores[0])
    (listed,) = json.loads(program("asked", "list", *of, "--format", "json").out)
    runs = [millrace.open(store).run for store in stores]
    assert (listed["kind"], listed["runs"]) == ("compare-models", runs)
    again = program("asked", "run", listed["id"], *of, "--format", "json")
    assert but_time(again.out) == but_time(asked.out)
    Path("a.json").write_text(program("asked", "show", listed["id"], *of).out)
    again = program("compare-models", "--record", "a.json", "--format", "json")
    assert but_time(again.out) == but_time(asked.out)
    said = program("compare-models", stores[0], "--record", "a.json").refusal()
    assert "leave out snapshots" in said
    said = program("compare-dictionaries", "--record", "a.json").refusal()
    assert said.startswith("a.json is no record of this kind")


def test_what_cannot_be_compared_is_one_line(program: Program, stores: tuple[Path, Path]) -> None:
    assert "name two snapshots" in program("compare-models", stores[0]).refusal()
    assert "no snapshot at" in program("compare-models", stores[0], "nowhere").refusal()
