"""Exports of texts, names and snapshots that readers stumble over are whole and mean the same."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.exporters.exporting import Exported, export
from downstream.exporters.json_text import json_lines
from downstream.exporters.registry import EXPORTERS, find_exporter
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError
from tests.downstream.exporters.decoded import decoded
from tests.downstream.exporters.hostile import CLUSTERING, FEATURES, LABELS, RUNS
from tests.downstream.exporters.test_same_as_reader import READERS

CHOICES: dict[str, dict[str, Any]] = {
    **{name: {"source": "sae"} for name in ("neuronpedia", "saedashboard", "columnar", "delphi")},
    "spd": {"clustering": CLUSTERING},
    "html": {"features": "0-4", "source": "mlp", "cluster": LABELS, "clustering": CLUSTERING},
    "csv": {"table": "samples"},
    "jsonl": {"table": "samples"},
}
every_format = pytest.mark.parametrize("format", [one.name for one in EXPORTERS])


def made(format: str, snapshot: Snapshot, out: Path, **choices: Any) -> Exported:
    """Export a snapshot."""
    return export(find_exporter(format), snapshot, out, {**CHOICES.get(format, {}), **choices})


def as_neuronpedia_imports(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a kind by the steps of Neuronpedia's importer.

    It takes blanks for NULs in the text of a file, then lines, and the columns from the first.
    """
    for file in sorted(folder.glob(f"*/*/{kind}/*.gz")):
        text = gzip.decompress(file.read_bytes()).decode().replace("\\u0000", " ")
        lines = text.strip().split("\n")
        columns = list(json.loads(lines[0]))
        for line in lines:
            row = json.loads(line)
            assert list(row) == columns
            yield row


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=8)), max_size=5))
def test_a_line_is_a_line_for_every_reader(rows: list[dict[str, str]]) -> None:
    data = json_lines(rows)
    assert [json.loads(line) for line in data.decode().splitlines()] == rows
    assert [json.loads(line) for line in data.split(b"\n")[:-1]] == rows


@every_format
@pytest.mark.parametrize("run", RUNS)
def test_every_format_takes_every_snapshot_and_leaves_no_odd_numbers(
    format: str, run: str, hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    done = made(format, hostile_runs[run], tmp_path / "out")
    for name, content in decoded(done.path).items():
        json.dumps(content, allow_nan=False, default=str)
        assert ".." not in name
    assert not any("\n" in note for note in done.notes)


@pytest.mark.parametrize("format", READERS)
@pytest.mark.parametrize("source", ["sae", "mlp"])
def test_examples_of_hostile_tokens_are_those_of_the_reader(
    format: str, source: str, hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    snapshot = hostile_runs["hostile"]
    many = format.startswith("circuit-tracer")
    done = made(format, snapshot, tmp_path / "out", source=(source,) if many else source)
    read, error = READERS[format]
    seen = dict(read(done.path))
    assert sorted(seen) == list(range(FEATURES))
    for index, examples in seen.items():
        expected = snapshot.feature(f"{source}:{index}").examples(k=20)
        assert len(examples) == len(expected)
        for (tokens, values, peak), example in zip(examples, expected, strict=True):
            assert "".join(tokens) == example.text.replace("\0", "␀")
            assert values == pytest.approx(example.activations, rel=1e-6, abs=error)
            assert peak == example.peak


def test_what_neuronpedia_imports_is_what_was_written(
    hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    done = made("neuronpedia", hostile_runs["hostile"], tmp_path / "out", batch=1)
    features = list(as_neuronpedia_imports(done.path, "features"))
    assert [row["index"] for row in features] == ["0", "1", "2", "3", "4"]
    rows = list(as_neuronpedia_imports(done.path, "activations"))
    found = {token for row in rows for token in row["tokens"]}
    assert {r"\u0000", "a␀b", "x\u2028y", "z\x85", "\\", "</script><script>"} <= found
    assert not any("\0" in token for token in found)


def test_features_without_an_example_leave_no_file_without_a_line(
    hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    done = made("neuronpedia", hostile_runs["hostile"], tmp_path / "out", batch=1)
    names = sorted(path.name for path in done.path.glob("*/*/activations/*"))
    assert names == [f"batch-{n}.jsonl.gz" for n in (0, 1, 2)]  # 3 and 4 are active nowhere
    silent = made("neuronpedia", hostile_runs["silent"], tmp_path / "silent")
    assert len(list(as_neuronpedia_imports(silent.path, "features"))) == FEATURES
    assert list(as_neuronpedia_imports(silent.path, "activations")) == []


def test_circuit_tracer_writes_both_sources_each_under_its_layer(
    hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    done = made("circuit-tracer-binary", hostile_runs["hostile"], tmp_path / "out")
    index = decoded(done.path)["features/index.json.gz"]
    assert [None if layer is None else layer["filename"] for layer in index] == [
        None,
        "layer_1.bin",
        "layer_2.bin",
    ]
    assert all(len(layer["offsets"]) == FEATURES + 1 for layer in index[1:])


def test_clusters_of_members_of_two_sources_come_back_from_spd(
    hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    data = decoded(made("spd", hostile_runs["hostile"], tmp_path / "out").path)[
        "data/__zanj__.json"
    ]
    assert len(data["clusters"]) == len(LABELS)
    for number, (name, cluster) in enumerate(data["clusters"].items()):
        assert name == f"a/b_c|d_e-f.0.{number}".replace("|", "_")
        label = LABELS[number]
        expected = hostile_runs["hostile"].cluster(label, CLUSTERING)
        assert [one["label"] for one in cluster["components"]] == list(expected.members)
        shown = [sample["activations"]["data"] for sample in cluster["samples"]]
        assert shown == [
            pytest.approx(list(e.activations), rel=1e-6) for e in expected.examples(k=16)
        ]
    assert data["coactivations"] is not None


def test_without_the_table_there_is_no_coactivation(
    hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    done = made("spd", hostile_runs["few"], tmp_path / "spd")
    assert decoded(done.path)["data/__zanj__.json"]["coactivations"] is None
    assert any("no co-activation of clusters" in note for note in done.notes)
    done = made("delphi", hostile_runs["few"], tmp_path / "delphi")
    assert not list(done.path.glob("neighbours/*"))
    assert any("co-occurrence" in note for note in done.notes)


@pytest.mark.parametrize("format", [*READERS, "delphi", "spd", "html"])
def test_values_without_their_sign_are_said_to_be(
    format: str, hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    one = {"source": "mlp"} if CHOICES.get(format, {}).get("source") else {}
    notes = made(format, hostile_runs["hostile"], tmp_path / "out", **one).notes
    said = "activations of mlp are its values without their sign, 0 where that is not above 0.5"
    assert said in notes
    assert not any("activations of sae" in note for note in notes)


def test_csv_holds_the_names_of_documents(
    hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    done = made("csv", hostile_runs["hostile"], tmp_path / "out")
    with done.path.open(newline="", encoding="utf-8") as file:
        found = [(row["document"], row["domain"]) for row in csv.DictReader(file)]
    samples = hostile_runs["hostile"].table("samples").to_pylist()
    assert found == [(row["document"], row["domain"]) for row in samples]


def test_arguments_that_are_no_text_are_one_line(
    hostile_runs: dict[str, Snapshot], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=r"--creator-name '\\udcff' is no text") as error:
        made("neuronpedia", hostile_runs["hostile"], tmp_path / "out", **{"creator-name": "\udcff"})
    assert "\n" not in str(error.value)
