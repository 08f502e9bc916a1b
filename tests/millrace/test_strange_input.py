"""Numbers and files that no person would give: one line and status 2, soon and in little memory."""

import os

import pytest

from consumers.runs.clusters import load_clustering
from millrace.settings import load_settings
from streams.errors import ModelError, SettingsError
from tests import factories

SOURCES = [factories.source()]
DIGITS = "9" * 5000


def refused(text, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as info:
        load_settings(file, {})
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 600
    return str(info.value)


@pytest.mark.parametrize(
    "line",
    [
        "[run]\nshards = 1099511627776",
        "[run]\nshards = -1",
        "[run]\nk = 4611686018427387904",
        f"[run]\nk = {DIGITS}",
        f"[run]\nedges = [{'1.0, ' * 5000}]",
        "[run]\nedges = " + "[" * 50_000,
        "[run]\nbucket_bytes = 9999999999999",
        "[run]\nmask_ids = [-1]",
        "[run]\nmask_positions = [1099511627776]",
        "[corpus]\npartitions = 1000000",
        "[corpus]\ncontext = 1099511627776",
        "[corpus]\nbatch_rows = 1099511627776",
        f"[corpus]\nlimit_tokens = {DIGITS[:4000]}",
        "[model]\nmicro_batch = 1099511627776",
        "[model]\nthreads = 1099511627776",
        '[[dictionaries]]\nname = "sae"\npath = "x"\ndropped = [8589934592]',
        f'[run]\nshards = "{"x" * 100_000}"',
    ],
    ids=lambda line: line[:40],
)
def test_settings_outside_their_bounds(line, tmp_path):
    refused(line, tmp_path)


@pytest.mark.parametrize("value", ["[" * 100_000, DIGITS, f"[{DIGITS}]", "1" * 4000])
def test_variables_outside_their_bounds(value):
    for name in ("MILLRACE_RUN__SHARDS", "MILLRACE_RUN__MASK_IDS"):
        with pytest.raises(SettingsError) as info:
            load_settings(None, {name: value})
        assert len(str(info.value)) < 600


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--k", DIGITS],
        ["run", "--micro-batch", DIGITS],
        ["run", "--limit", DIGITS],
        ["run", "--limit", f"{DIGITS}tokens"],
        ["run", "--limit", "²documents"],
        ["produce", "--context", DIGITS],
        ["produce", "--partitions", str(2**40)],
        ["runs", "create", "--k", str(2**62)],
        ["produce", "x", "--tokenizer", "x", "--context", "100000", "--batch-size", "60000"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_options_outside_their_bounds(program, arguments):
    program(*arguments).refusal()


def special(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(2**40)
    return ["/dev/zero", *(tmp_path / name for name in ("pipe", "round", "endless"))]


def test_settings_cluster_files_and_dumps_that_are_no_files(program, tmp_path):
    for place in special(tmp_path):
        assert str(place) in program("runs", "create", "--settings", place).refusal()
        assert str(place) in program("corpora", "load", place).refusal()
        with pytest.raises(ModelError, match="cluster file"):
            load_clustering(str(place), SOURCES)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"a": ["sae:{DIGITS}"]}}',
        f'{{"a": ["{"x" * 100_000}"]}}',
        f'{{"{"x" * 100_000}": ["sae:1"]}}',
        f'{{"name": "x", "iteration": {DIGITS}, "clusters": {{"a": ["sae:1"]}}}}',
        '{"name": "x", "iteration": NaN, "clusters": {"a": ["sae:1"]}}',
        '{"name": "../x", "clusters": {"a": ["sae:1"]}}',
        '{"\\ud800": ["sae:1"]}',
        "[" * 100_000,
        '{"a": ' * 50_000,
        '{"a": ["sae:1", "sae:001"]}',
    ],
    ids=lambda text: text[:30],
)
def test_cluster_files_outside_their_bounds(text, tmp_path):
    (tmp_path / "clusters.json").write_text(text)
    with pytest.raises(ModelError, match="cluster file") as info:
        load_clustering(str(tmp_path / "clusters.json"), SOURCES)
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 600
