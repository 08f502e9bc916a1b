"""What the readers of each format are known to stumble over does not come up."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from downstream.exporters.columnar import COPY_ROWS
from downstream.reading.snapshot import Snapshot
from tests.downstream.exporters.conftest import Written
from tests.downstream.exporters.decoded import decoded

TEXTS = ("neuronpedia", "saedashboard", "columnar", "spd", "circuit-tracer", "jsonl")


def texts(place: Path) -> list[bytes]:
    """Return the JSON documents of an export, unpacked, lines of JSON one by one."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    found: list[bytes] = []
    for file in files:
        if file.suffix in (".parquet", ".npy", ".zanj"):
            continue
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        lines = ".jsonl" in file.suffixes or file == place
        found += data.splitlines() if lines else [data]
    return found


@pytest.mark.parametrize("format", TEXTS)
def test_json_has_no_nan_and_no_nul(format: str, attached: Snapshot, written: Written) -> None:
    found = texts(written(format, attached))
    assert found
    for data in found:
        assert b"\0" not in data
        assert b"\\u0000" not in data
        json.loads(data, parse_constant=pytest.fail)


def test_every_line_of_neuronpedia_has_the_keys_of_the_first(
    many: Snapshot, written: Written
) -> None:
    for name, rows in decoded(written("neuronpedia", many, batch=16)).items():
        assert len({tuple(row) for row in rows}) == 1, name


def test_ids_of_neuronpedia_are_one_per_example_and_the_same_again(
    many: Snapshot, written: Written
) -> None:
    ids: dict[int, list[Any]] = {}
    for batch in (16, 40):
        files = decoded(written("neuronpedia", many, batch=batch)).items()
        ids[batch] = [r["id"] for name, rows in files if "/activations/" in name for r in rows]
    assert sorted(ids[16]) == sorted(ids[40])
    assert len(set(ids[16])) == len(ids[16]) > 100
    assert all(len(one) == 25 and one[0] == "c" and one.isalnum() for one in ids[16])


def test_the_best_examples_are_marked_as_neuronpedia_marks_them(
    many: Snapshot, written: Written
) -> None:
    for name, rows in decoded(written("neuronpedia", many, batch=16)).items():
        for row in rows if "/activations/" in name else ():
            assert row["binMin"] == row["binContains"] == -1
            assert row["binMax"] >= row["maxValue"] == max(row["values"]) > 0
            assert row["values"][row["maxValueTokenIndex"]] == row["maxValue"]


def test_dead_features_have_rows_everywhere_and_no_examples(
    bare: Snapshot, written: Written
) -> None:
    batch = decoded(written("saedashboard", bare))["batch-0.json"]
    dead = batch["features"][3]
    assert (dead["frac_nonzero"], dead["activations"]) == (0, [])
    assert dead["freq_hist_data_bar_heights"] == []


def test_columnar_batches_are_what_its_importer_asks_for(many: Snapshot, written: Written) -> None:
    folder = written("columnar", many, batch=16)
    root = json.loads((folder / "manifest.json").read_text())
    every = [index for batch in root["batches"] for index in batch["feature_indices"]]
    assert every == list(range(40))
    for batch in root["batches"]:
        inner = folder / batch["artifact_dir"]
        manifest = json.loads((inner / "manifest.json").read_text())
        assert manifest["feature_batch_index"] == batch["feature_batch_index"]
        for name, file in manifest["tables"].items():
            table = pq.read_table(inner / file)
            assert len(table) == manifest["row_counts"][name]
            if name.startswith("activation_") and name.endswith("rows"):
                continue
            # The importer refuses a batch in which a table lacks a feature, or has it twice.
            assert table["feature_index"].to_pylist() == batch["feature_indices"]


def test_columnar_copy_rows_are_the_rows_in_the_order_of_the_database(
    many: Snapshot, written: Written
) -> None:
    inner = written("columnar", many, batch=16) / "feature_batch_1"
    rows = pq.read_table(inner / "activation_rows.parquet").to_pylist()
    copied = pq.read_table(inner / "activation_copy_rows.parquet")
    assert copied.schema.equals(COPY_ROWS)
    assert len(COPY_ROWS) == 22
    for row, copy in zip(rows, copied.to_pylist(), strict=True):
        assert (copy["tokens"], copy["values"]) == (row["tokens"], row["values"])
        assert (copy["index"], copy["maxValue"]) == (row["feature_index"], row["max_value"])
        assert copy["id"].endswith(f"-{row['feature_index']}-{row['sequence_index']}")


def test_columnar_files_have_a_page_index(many: Snapshot, written: Written) -> None:
    files = [*written("columnar", many, batch=16).rglob("*.parquet")]
    assert files
    for file in files:
        column = pq.ParquetFile(file).metadata.row_group(0).column(0)
        assert column.has_offset_index
        assert column.has_column_index


def test_offsets_of_the_binary_index_name_every_feature(bare: Snapshot, written: Written) -> None:
    folder = written("circuit-tracer-binary", bare) / "features"
    index = json.loads(gzip.decompress((folder / "index.json.gz").read_bytes()))
    assert index[:2] == [None, None]
    assert len(index[2]["offsets"]) == 6
    assert index[2]["offsets"][-1] == (folder / index[2]["filename"]).stat().st_size


def test_names_of_spd_have_three_parts_by_either_separator(
    bare: Snapshot, written: Written
) -> None:
    for separator in ".-":
        data = decoded(written("spd", bare, separator=separator))["data/__zanj__.json"]
        for name in data["clusters"]:
            run, iteration, number = name.split(separator)
            assert run == "odd"
            assert int(iteration) == 0
            assert 0 <= int(number) < 6
        keys = {
            key for cluster in data["clusters"].values() for key in cluster["criterion_samples"]
        }
        assert keys == {separator.join(("max_activation", "max", "16"))}


def test_texts_of_spd_have_eight_digits_and_each_sample_names_one(
    many: Snapshot, written: Written
) -> None:
    folder = written("spd", many, clustering="decoder-directions", examples=5)
    data = decoded(folder)["data/__zanj__.json"]
    assert all(len(key) == 8 for key in data["text_samples"])
    for cluster in data["clusters"].values():
        for sample in cluster["samples"]:
            assert data["text_samples"][sample["text_hash"]]["tokens"] == sample["tokens"]
