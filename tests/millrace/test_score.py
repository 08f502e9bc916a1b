"""Scores at the command line: attached beside labels, columns of the list, refused clearly."""

import json

import pytest

import millrace
from downstream.dashboard.columns import columns_of, values_of
from downstream.rendering.opening import open_snapshot
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.labelling.chat_server import completion, serving
from tests.downstream.reading.test_silent import opened


@pytest.fixture
def store(tmp_path):
    opened(tmp_path, "maximum", "shared", "intervals")
    return tmp_path


def test_scores_by_words_are_attached_and_become_columns(program, store):
    assert program("label", store, "--local").status == 0
    ended = program("score", store)
    assert ended.status == 0, ended.lines
    assert "vectors: tf-idf of words" in ended.out
    final = millrace.open(str(store))
    for kind in ("intruder", "embedding"):
        rows = final.attachment(kind, "local")[f"{kind}_scores"].to_pylist()
        assert rows
        for row in rows:
            low, high = row["interval"]
            assert 0 <= low <= row[kind] + 1e-9 <= high + 2e-9
            assert min(row["active"], row["silent"]) >= 4
    loaded = open_snapshot(final.manifest)
    columns = columns_of(loaded)
    assert "local.intruder" in columns
    assert values_of(loaded, columns["local.embedding"])[rows[0]["cluster"]] == rows[0]["embedding"]


def test_a_model_judges_labels_and_shuffled_ones(program, store):
    program("label", store, "--local")

    def play(number, body):
        shown = body["messages"][1]["content"].count("\n") - 1
        return completion(json.dumps({"active": list(range(1, shown + 1))}))

    with serving(play) as server:
        url = ("--endpoint", server.url, "--model", "judge", "--scorer", "detection")
        ended = program("score", store, *url, "--baseline", 3)
        assert ended.status == 0
        before = len(server.requests)
        assert program("score", store, *url, "--baseline", 3).status == 0
        assert len(server.requests) == before
    rows = millrace.open(str(store)).attachment("detection", "local")["detection_scores"]
    found = rows.to_pandas()
    assert (found.detection == 0.5).all()  # it calls all of them active
    assert found.detection_shuffled.notna().sum() == 3
    assert before == len(found) + 3


def test_what_cannot_be_scored_is_said(program, store, tmp_path_factory):
    assert "no labels" in program("score", store).refusal()
    assert program("score", store, "--scorer", "intruder").status == 0
    assert "needs --endpoint" in program("score", store, "--scorer", "fuzzing").refusal()
    bare = tmp_path_factory.mktemp("bare")
    write_snapshot(str(bare), small())
    assert "lacks the ranking 'shared'" in program("score", bare).refusal()
