"""Releases by SAELens' own list, their pages, and their files in the local cache."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from downstream.analysis.releases import Release, cached_at, neuronpedia_address, release_of


def listed() -> dict[str, dict]:
    folders = importlib.util.find_spec("sae_lens").submodule_search_locations or []
    path = Path(folders[0]) / "pretrained_saes.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, dict] = yaml.load(path.read_text(), Loader=loader)
    return found


def test_releases_are_those_of_the_whole_list() -> None:
    every, pages = listed(), 0
    names = sorted(every)
    for name in {*names[:3], *names[-3:], "gpt2-small-res-jb", "gemma-scope-2b-pt-res-canonical"}:
        for each in every[name]["saes"][-2:]:
            found = release_of(f"{name}#{each['id']}")
            known = each.get("neuronpedia") or ""
            assert found == Release(every[name]["repo_id"], str(each["path"]), known)
            pages += bool(known)
    assert pages > 1
    assert release_of(f"{names[0]}#nowhere") is None
    assert release_of("somebody/sae#layers.2") == Release("somebody/sae", "layers.2")
    assert release_of("no-such-release#a") is None
    assert release_of("/a/folder") is None


def test_addresses_are_of_known_ids_only() -> None:
    assert neuronpedia_address("gpt2-small/8-res-jb", 7).endswith(".org/gpt2-small/8-res-jb/7")
    assert neuronpedia_address("gpt2-small/8-res-jb").endswith(".org/gpt2-small/8-res-jb")
    for bad in ("", "a", "a/b/c", 'a/"b', "../b", "a/b?c"):
        assert neuronpedia_address(bad) == ""


def test_a_cached_release_is_found_without_a_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = Release("somebody/sae", "layer/1")
    assert cached_at(release, tmp_path) is None
    folder = tmp_path / "models--somebody--sae"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("ab" * 20)
    assert cached_at(release, tmp_path) is None
    place = folder / "snapshots" / ("ab" * 20) / "layer" / "1"
    place.mkdir(parents=True)
    for listing in ("iterdir", "glob", "rglob", "walk"):
        monkeypatch.setattr(Path, listing, None, raising=False)
    assert cached_at(release, tmp_path) == place
    assert cached_at(Release("somebody/sae", "../1"), tmp_path) is None
    assert cached_at(Release("../sae", ""), tmp_path) is None
    (folder / "refs" / "main").write_text("../../x")
    assert cached_at(release, tmp_path) is None
