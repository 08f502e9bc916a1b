"""``millrace asked``: what was asked is kept in the store, listed, shown and asked again."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from consumers.asking.record import ask_record
from consumers.asking.setup import Setup
from consumers.interventions.record import intervention_record
from consumers.interventions.requests import Ablation, Steering
from millrace import asked_records
from millrace.asked_records import entries, keep, keeper, log_of, read
from millrace.settings import Settings, load_settings
from streams.asking.concept import ConceptQuestion
from streams.asking.question import Question
from streams.errors import QuestionError
from tests import factories
from tests.millrace.conftest import Program

TEXT = "w1 w2 w3 w4 w5"
REQUESTS = (Ablation((TEXT, "w1"), ("sae:3",), by="mean"), Steering((TEXT,), "sae:2", (1.0,), 2.0))


def setup() -> Setup:
    run = factories.run_record()
    return Setup(
        model=run.model,
        sources=run.sources,
        context=run.context,
        tokenizer="words",
        tokenizer_id="1" * 32,
        bos_id=None,
        count_bos=False,
        special=False,
        masked_ids=(),
        masked_positions=(),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, environment={}).model_copy(update={"store": str(tmp_path / "store")})


def test_verbs_keep_what_they_are_asked_and_it_runs_again(program: Program, disk: Path) -> None:
    model = ("--model", disk / "gpt2", "--dictionary", disk / "standard", "--device", "cpu")
    asked = program("ask", TEXT, *model, "--top", 2, "--format", "json")
    assert asked.status == 0, asked.lines
    ablated = program("ablate", TEXT, *model, "--top", 2, "--format", "json")
    assert ablated.status == 0, ablated.lines
    listed = json.loads(program("asked", "list", "--json").out)
    assert [(one["kind"], one["text"]) for one in listed] == [("ablate", TEXT), ("ask", TEXT)]
    for one, first in zip(listed, (ablated, asked), strict=True):
        again = program("asked", "run", one["id"], "--device", "cpu", "--format", "json")
        assert again.status == 0, again.lines
        assert json.loads(again.out)["answer"] == json.loads(first.out)["answer"]
        shown = json.loads(program("asked", "show", one["id"]).out)
        kept = json.loads(first.out)["record"]
        assert {**shown, "asked": ""} == {**kept, "asked": ""}
    rows = ("--device", "cpu", "--format", "parquet", "--out", "a.parquet", "--table", "totals")
    assert program("asked", "run", listed[1]["id"], *rows).status == 0
    totals = json.loads(asked.out)["answer"]["totals"]
    assert pq.read_table("a.parquet").num_rows == len(totals)
    lines = program("asked", "list", "--last", 1).out.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(f"  ablate  '{TEXT}'")
    as_csv = program("asked", "list", "--format", "csv").out
    assert [row["text"] for row in csv.DictReader(io.StringIO(as_csv))] == [TEXT, TEXT]
    assert program("asked", "list", "--format", "parquet", "--out", "list").status == 0
    assert pq.read_table("list").to_pylist() == [
        {**one, **{name: " ".join(one[name]) for name in ("features", "domains", "runs")}}
        for one in listed
    ]
    one_table = ("--device", "cpu", "--format", "csv", "--table", "totals")
    said = program("asked", "run", listed[0]["id"], *one_table).refusal()
    assert said == "an answer of ablate has no table 'totals', but one table: leave out --table"
    assert "no record begins with" in program("asked", "run", "1999").refusal()
    assert "2 records begin with" in program("asked", "show", "2").refusal()


def test_what_a_service_is_asked_is_kept(settings: Settings) -> None:
    kept = keeper(settings, None, setup())
    question = Question((TEXT,), features=("sae:1",))
    for one in (question, *REQUESTS):
        kept(one)
    concept = ConceptQuestion((TEXT,) * 4, ("w9",) * 4)
    kept(concept)
    log = log_of(settings, None)
    found = list(entries(log))[::-1]
    assert [one.kind for one in found] == ["ask", "ablate", "steer", "concept"]
    assert [one.features for one in found] == [("sae:1",), ("sae:3",), ("sae:2",), ()]
    assert [one.texts for one in found] == [1, 2, 1, 8]
    records = [read(log, one.id) for one in found]
    asked = [getattr(one, "question", None) or getattr(one, "request", None) for one in records]
    assert asked == [question, *REQUESTS, concept]


def test_the_oldest_records_and_large_ones_are_not_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(asked_records, "MOST", 2)
    for hour in range(4):
        record = intervention_record(REQUESTS[0], setup(), f"2030-01-01T0{hour}:00:00+00:00")
        keep(settings, None, record)
    log = log_of(settings, None)
    assert [one.asked[11:13] for one in entries(log)] == ["03", "02"]
    large = ask_record(Question(("a" * 2**18,)), setup(), "2030-01-02T00:00:00+00:00")
    keep(settings, None, large)
    assert "is not kept: its record has" in caplog.text
    assert len(log.names()) == 2


def test_junk_in_the_folder_is_passed_over_and_a_store_that_cannot_be_written_is_said(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(settings, None, intervention_record(REQUESTS[1], setup(), "2030-01-01T00:00:00+00:00"))
    folder = tmp_path / "store" / "asked"
    (folder / "notes.txt").write_text("mine")
    (folder / f"20310101T000000.000000Z-{'0' * 16}.json").write_text("{")
    log = log_of(settings, None)
    assert [one.kind for one in entries(log)] == ["steer"]
    with pytest.raises(QuestionError, match="2031"):
        read(log, "2031")
    (tmp_path / "file").write_text("")
    off = settings.model_copy(update={"store": str(tmp_path / "file")})
    record: Any = intervention_record(REQUESTS[1], setup(), "2030-01-01T00:00:00+00:00")
    keep(off, None, record)
    assert "what was asked is not kept" in caplog.text
