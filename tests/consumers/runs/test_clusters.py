"""Cluster files."""

import json
from pathlib import Path
from typing import Any

import pytest

from consumers.runs.clusters import load_clustering
from streams.errors import ModelError
from streams.records.runs import Source
from tests.factories import source

SOURCES: list[Source] = [source("a", components=5), source("b", components=3)]


def write(folder: Path, document: Any) -> str:
    path = folder / "groups.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_both_forms_are_read(tmp_path: Path) -> None:
    clusters = {"x": ["a:1", "b:2"], "y": ["b:2"]}
    bare = load_clustering(write(tmp_path, clusters), SOURCES)
    assert (bare.name, bare.iteration, bare.labels) == ("groups", 0, ("x", "y"))
    assert bare.sizes.tolist() == [2, 1]
    assert list(zip(bare.source, bare.index, strict=True)) == [(0, 1), (1, 2), (1, 2)]
    named = {"name": "mine", "iteration": 3, "clusters": clusters}
    whole = load_clustering(write(tmp_path, named), SOURCES)
    assert (whole.name, whole.iteration, whole.labels) == ("mine", 3, ("x", "y"))
    assert whole.content != bare.content


def test_content_does_not_depend_on_the_layout_of_the_file(tmp_path: Path) -> None:
    first = load_clustering(write(tmp_path, '{"x": ["a:1"]}'), SOURCES)
    second = load_clustering(write(tmp_path, '{\n "x":["a:1"]\n}'), SOURCES)
    other = load_clustering(write(tmp_path, '{"x": ["a:2"]}'), SOURCES)
    assert first.content == second.content != other.content


def test_coactivation_is_for_small_clusterings(tmp_path: Path) -> None:
    small = write(tmp_path, {"x": ["a:1"]})
    assert load_clustering(small, SOURCES).coactivation
    assert not load_clustering(small, SOURCES, coactivation=False).coactivation
    large = write(tmp_path, {str(n): ["a:1"] for n in range(1025)})
    assert not load_clustering(large, SOURCES).coactivation
    assert load_clustering(large, SOURCES, coactivation=True).coactivation


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"iteration": 20261121170000, "clusters": {"x": ["a:1"]}},
            r"iteration 20261121170000 is no whole number from 0 to 2\*\*31 - 1",
        ),
        ({"x": ["c:1"]}, "cluster 'x': component 'c:1' names an unknown source; known are a, b"),
        ({"x": ["a:5"]}, "component 'a:5' does not exist: a has 5"),
        ({"x": ["a:1", "a:1"]}, "component 'a:1' is repeated"),
        ({"x": ["a:1", "a:01"]}, "component 'a:01' is repeated"),
        ({"x": ["a1"]}, "component 'a1' does not read source:index"),
        ({"x": ["a:-1"]}, "does not read source:index"),
        ({"x": []}, "cluster 'x': has no components"),
        ({"x": "a:1"}, "cluster 'x': is no list"),
        ({"x": [1]}, "cluster 'x': is no list"),
        ({}, "has no clusters"),
        ([], "holds no map"),
        ("{", "is not JSON"),
        ('{"x": ["a:1"], "x": ["a:2"]}', "'x' stands there twice"),
        ({"clusters": {"x": ["a:1"]}, "iterations": 1}, "unknown key 'iterations'"),
        ({"clusters": {"x": ["a:1"]}, "iteration": -1}, "iteration -1"),
        ({"clusters": {"x": ["a:1"]}, "name": "a/b"}, "clustering 'a/b' is not a usable name"),
        ({"clusters": {"x": ["a:1"]}, "name": 5}, "name 5 is no text"),
    ],
)
def test_bad_files_say_where(document: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        load_clustering(write(tmp_path, document), SOURCES)
    assert "groups.json" in str(raised.value)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.json: No such file"):
        load_clustering(str(tmp_path / "nowhere.json"), SOURCES)
    (tmp_path / "latin.json").write_bytes(b'{"\xe9": []}')
    with pytest.raises(ModelError, match=r"latin\.json: is not UTF-8"):
        load_clustering(str(tmp_path / "latin.json"), SOURCES)
