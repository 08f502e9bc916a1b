"""Snapshots compared at the command line."""

import json

import pytest

import millrace
from downstream.derived.differences import compare
from downstream.reading.snapshot import Snapshot
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.derived.test_differences import changed_values


@pytest.fixture
def store(tmp_path):
    write_snapshot(str(tmp_path), small(), run="one")
    write_snapshot(str(tmp_path), changed_values(), run="two")
    write_snapshot(str(tmp_path), small(), run="two", snapshot="noon", final=False)
    return tmp_path


def test_lines_say_what_changed_and_how_much(program, store):
    ended = program("diff", store / "one", store / "two", "--k", 2)
    assert (ended.status, ended.lines) == (0, [])
    lines = ended.out.splitlines()
    totals = compare(millrace.open(store, "one"), millrace.open(store, "two")).totals
    assert lines[0].startswith("A: snapshot final of run one, content ")
    assert lines[2] == (
        f"clusters: {totals['changed']} changed of {totals['in_both']} in both, "
        "1 only in A, 1 only in B"
    )
    assert f"{totals['came']} came, {totals['went']} went" in lines[3]
    assert len(lines) == 4 + 1 + 2


def test_json_has_the_same_and_says_whether_the_content_is_equal(program, store):
    ended = program("diff", store / "one", store / "two" / "noon", "--json")
    found = json.loads(ended.out)
    assert (found["same_content"], found["most_changed"]) == (True, [])
    assert found["notes"] == ["B is not final"]
    assert found["b"]["snapshot"] == "noon"


def test_a_comparison_is_attached_to_the_second_snapshot(program, store):
    assert program("diff", store / "one", store / "two", "--attach").status == 0
    a, b = millrace.open(store, "one"), millrace.open(store, "two")
    (made,) = b.attachments
    assert (made.kind, made.name) == ("diff", f"one-{a.content[:12]}")
    tables = b.attachment(made.kind, made.name)
    assert tables["cluster_differences"].arrow.equals(compare(a, b).clusters)
    assert tables["example_changes"].arrow.equals(compare(a, b).examples)
    assert Snapshot(b.manifest).verify() == b.content


def test_what_cannot_be_compared_is_one_line(program, store):
    assert (
        "is not final"
        in program("diff", store / "one", store / "two" / "noon", "--attach").refusal()
    )
    assert "no snapshot at" in program("diff", store / "one", store / "nowhere").refusal()
