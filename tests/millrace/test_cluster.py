"""Cluster files made at the command line."""

import json

import numpy as np
import pytest

from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.derived.clusterings.test_spd_history import write as write_spd_history
from tests.downstream.derived.conftest import write_dictionary


def test_directions_of_a_dictionary_become_iterations_of_one_clustering(program, tmp_path):
    write_dictionary(tmp_path / "sae", seed=0, features=9)
    ended = program("cluster", "decoder", tmp_path / "sae", "--clusters", 5, "--clusters", 2)
    assert (ended.status, ended.lines) == (0, [])
    assert [line.partition(":")[0] for line in ended.out.splitlines()] == [
        "clusters/decoder-average-4.json",
        "clusters/decoder-average-7.json",
    ]
    with open("clusters/decoder-average-7.json") as file:
        written = json.load(file)
    assert (written["name"], written["iteration"]) == ("decoder-average", 7)
    assert all(members[0] == label for label, members in written["clusters"].items())


def test_features_that_fire_together_are_clustered_and_silent_ones_left_out(program, tmp_path):
    write_snapshot(str(tmp_path / "store"), small())
    ended = program("cluster", "coactivation", tmp_path / "store", "--clusters", 1)
    assert ended.out == "clusters/coactivation-average-2.json: 1 clusters of 3 features\n"


def test_merges_of_another_tool_become_cluster_files(program, tmp_path):
    history = {"name": "SPD run", "labels": ["a.b:0", "a.b:1", "a.b:2"], "merges": [[0, 2], [3, 1]]}
    (tmp_path / "h.json").write_text(json.dumps(history))
    ended = program("cluster", "merges", tmp_path / "h.json", "--iteration", 1, "--source", "a.b=v")
    assert ended.out == "clusters/spd-run-1.json: 1 clusters of 2 features\n"
    with open("clusters/spd-run-1.json") as file:
        assert json.load(file)["clusters"] == {"v:0": ["v:0", "v:2"]}
    mapping = {"iteration": 7, "clusters": {"a.b:0": 3, "a.b:1": 3, "a.b:2": None}}
    (tmp_path / "m.json").write_text(json.dumps(mapping))
    ended = program("cluster", "merges", tmp_path / "m.json")
    assert ended.out == "clusters/m-7.json: 1 clusters of 2 features\n"
    groups = np.array([[0, 1, 2, 3, 4, 0], [4, 1, 4, 3, 5, 4]], np.int16)
    ended = program("cluster", "merges", write_spd_history(tmp_path / "history.zip", groups))
    assert ended.out == "clusters/history-1.json: 1 clusters of 3 features\n"
    with open("clusters/history-1.json") as file:
        assert json.load(file)["clusters"] == {"4": ["h-0-mlp:0", "h-0-mlp:2", "h-1-mlp:5"]}
    said = program("cluster", "merges", tmp_path / "m.json", "--iteration", 8).refusal()
    assert said.endswith("holds iteration 7 alone")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["decoder", "SAE", "--clusters", "99"], "can be 1 to 4 clusters of these 4 features"),
        (["decoder", "nowhere", "--clusters", "1"], "there is nothing at nowhere"),
        (["coactivation", "STORE", "--clusters", "1", "--source", "x"], "one of sae"),
        (["merges", "nowhere"], "nowhere: No such file"),
        (["merges", "nowhere", "--source", "a"], "write MODULE=SOURCE"),
    ],
)
def test_what_cannot_be_clustered_is_one_line(program, tmp_path, arguments, line):
    write_dictionary(tmp_path / "SAE", seed=0, features=4)
    write_snapshot(str(tmp_path / "STORE"), small())
    there = ("SAE", "STORE")
    words = [str(tmp_path / word) if word in there else word for word in arguments]
    assert line in program("cluster", *words).refusal()
