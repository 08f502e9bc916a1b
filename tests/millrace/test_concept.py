"""``millrace concept``: texts with and without a concept, domains of a snapshot; records, files."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import millrace
from downstream.analysis.domain_features import domain_features
from millrace.answer_files import RECORD_KEY
from millrace.concept_files import CONCEPT_FEATURES
from tests.downstream.analysis.domain_runs import Run
from tests.millrace.conftest import Program, but_time

WITH = [f"w{n} w{n + 1} w{n % 5} w{2 * n}" for n in range(8)]
WITHOUT = [f"w{40 + n} w{50 - n} w{59 - n}" for n in range(8)]


def test_texts_by_option_file_and_record(program: Program, disk: Path) -> None:
    Path("with.txt").write_text("\n\n".join(WITH))
    Path("without.txt").write_text("\n".join(WITHOUT[1:]) + "\n")
    texts = ("--with-file", "with.txt", "--without-file", "without.txt", "--without", WITHOUT[0])
    model = ("--model", disk / "gpt2", "--dictionary", disk / "standard", "--device", "cpu")
    how = ("--top", 3, "--seed", 4, "--held-back", 0.25)
    asked = program("concept", *texts, *model, *how, "--format", "json", "--out", "a.json")
    assert asked.status == 0, asked.lines
    found = json.loads(Path("a.json").read_text())
    assert found["record"]["question"]["present"] == WITH
    assert found["record"]["question"]["absent"] == WITHOUT
    assert found["answer"]["texts_with"] == [6, 2]
    again = program(
        "concept", "--record", "a.json", "--device", "cpu", "--format", "parquet", "--out", "b"
    )
    assert again.status == 0, again.lines
    table = pq.read_table("b")
    assert table.schema.remove_metadata() == CONCEPT_FEATURES
    assert json.loads(table.schema.metadata[RECORD_KEY])["question"]["seed"] == 4
    listed = table.to_pylist()
    assert [row["rank"] for row in listed] == [1, 2, 3]
    for row, one in zip(listed, found["answer"]["features"], strict=True):
        assert (row["index"], row["auroc"]) == (one["index"], one["chosen"]["auroc"])
        assert row["held_back_p"] == one["held_back"]["p"]
    page = program("concept", "--record", "a.json", "--device", "cpu").out
    assert "chosen on 6 texts with and 6 without, by maximum activation; held back 2 and 2" in page
    assert all(f"sae:{row['index']} " in page for row in listed)


def test_domains_of_a_snapshot(program: Program) -> None:
    Run(Path("store").absolute())
    of = ("--domain", "code", "--snapshot", "store", "--top", 4)
    expected = domain_features(millrace.open("store"), "code", "prose", top=4).table.to_pylist()
    asked = program("concept", *of, "--against", "prose", "--format", "json")
    assert asked.status == 0, asked.lines
    found = json.loads(asked.out)
    assert found["answer"]["features"] == expected
    assert found["record"]["against"] == "prose"
    assert found["answer"]["against"] == ["prose"]
    assert found["record"]["content"] == millrace.open("store").content
    rows = program("concept", *of, "--against", "prose", "--format", "csv").out
    assert [int(row["cluster"]) for row in csv.DictReader(io.StringIO(rows))] == [
        row["cluster"] for row in expected
    ]
    page = program("concept", *of).out
    assert page.startswith("code against letters, prose: counts of the whole corpus, exact\n")
    assert len(page.splitlines()) == 4 + 4
    Path("a.json").write_text(asked.out)
    assert but_time(program("concept", "--record", "a.json", "--format", "json").out) == but_time(
        asked.out
    )
    of_all, *_, first = json.loads(program("asked", "list", "--store", "store", "--json").out)
    assert [one["domains"] for one in (of_all, first)] == [["code"], ["code", "prose"]]
    assert (first["kind"], first["texts"], first["runs"]) == ("concept", 0, ["test"])
    ids = ("--store", "store", "--format", "json")
    assert but_time(program("asked", "run", first["id"], *ids).out) == but_time(asked.out)
    lines = program("asked", "list", "--store", "store").out.splitlines()
    assert lines[-1].endswith("  concept 'code' 'prose'  of test")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say one"),
        (("--with", "a", "--domain", "b"), "say one"),
        (("--with", "a", "--with", "b", "--held-back", 0), "0 texts without the concept"),
        (("--with", "a", "--against", "b"), "--against needs --domain"),
        (("--domain", "code"), "--domain needs --snapshot"),
        (("--domain", "code", "--snapshot", "nowhere"), "no snapshot at"),
        (("--record", "nowhere"), "No such file"),
        (("--with-file", "nowhere", "--without", "a"), "nowhere: No such file"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    program: Program, arguments: tuple[str, ...], said: str
) -> None:
    assert said in program("concept", *arguments).refusal()
