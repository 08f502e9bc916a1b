"""Formats with examples hold those of the reader: tokens, activations at their places, peaks."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from downstream.exporters.circuit_tracer import feature_id
from downstream.exporters.exporting import export
from downstream.exporters.registry import find_exporter
from downstream.reading.snapshot import Snapshot
from streams.snapshots.kept_files import ACTIVATIONS, SCHEMA, kept_path, write_kept
from streams.snapshots.store import open_store
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.exporters.conftest import Written
from tests.downstream.exporters.decoded import decoded

Seen = dict[int, list[tuple[str, list[float], int]]]
"""By feature: text, activation at each position and the position of the peak, of each example."""


def of_reader(snapshot: Snapshot, features: int) -> Seen:
    """Return what the reader says of the best examples."""
    found: Seen = {}
    for index in range(features):
        examples = snapshot.feature(index).examples(k=20)
        found[index] = [(e.text.replace("\0", "␀"), list(e.activations), e.peak) for e in examples]
    return found


def of_saedashboard(folder: Path) -> Iterator[tuple[int, Any]]:
    for name, batch in decoded(folder).items():
        for feature in batch["features"] if name.startswith("batch-") else ():
            yield (
                feature["feature_index"],
                [
                    (a["tokens"], a["values"], a["qualifying_token_index"])
                    for a in feature["activations"]
                ],
            )


def of_neuronpedia(folder: Path) -> Iterator[tuple[int, Any]]:
    files = decoded(folder)
    lines = [row for name, rows in files.items() if "/features/" in name for row in rows]
    rows = [row for name, rows in files.items() if "/activations/" in name for row in rows]
    for line in lines:
        own = [row for row in rows if row["index"] == line["index"]]
        yield (
            int(line["index"]),
            [(row["tokens"], row["values"], row["qualifyingTokenIndex"]) for row in own],
        )


def of_columnar(folder: Path) -> Iterator[tuple[int, Any]]:
    for batch in sorted(folder.glob("feature_batch_*")):
        rows = pq.read_table(batch / "activation_rows.parquet").to_pylist()
        for index in pq.read_table(batch / "feature_statistics.parquet")["feature_index"]:
            own = [row for row in rows if row["feature_index"] == index.as_py()]
            yield (
                index.as_py(),
                [(row["tokens"], row["values"], row["qualifying_token_index"]) for row in own],
            )


def of_circuit_tracer(folder: Path) -> Iterator[tuple[int, Any]]:
    for content in decoded(folder).values():
        for record in content if isinstance(content, list) else [content]:
            if record and "examples_quantiles" in record:
                yield (
                    record["index"],
                    [
                        (e["tokens"], e["tokens_acts_list"], e["train_token_ind"])
                        for quantile in record["examples_quantiles"]
                        for e in quantile["examples"]
                    ],
                )


READERS: dict[str, tuple[Callable[[Path], Iterator[tuple[int, Any]]], float]] = {
    "saedashboard": (of_saedashboard, 5e-4),  # three decimals
    "neuronpedia": (of_neuronpedia, 0),
    "columnar": (of_columnar, 0),
    "circuit-tracer": (of_circuit_tracer, 0),
    "circuit-tracer-binary": (of_circuit_tracer, 0),
}


@pytest.mark.parametrize(("run", "features"), [("bare", 5), ("many", 40)])
@pytest.mark.parametrize("format", READERS)
def test_examples_are_those_of_the_reader(
    format: str, run: str, features: int, request: pytest.FixtureRequest, written: Written
) -> None:
    snapshot: Snapshot = request.getfixturevalue(run)
    read, error = READERS[format]
    seen = dict(read(written(format, snapshot)))
    expected = of_reader(snapshot, features)
    assert sorted(seen) == list(expected)
    assert any(expected.values())
    for index, examples in expected.items():
        assert len(seen[index]) == len(examples)
        for (tokens, values, peak), (text, activations, at) in zip(
            seen[index], examples, strict=True
        ):
            assert "".join(tokens) == text
            assert len(tokens) == len(values) == len(activations)
            assert peak == at
            np.testing.assert_allclose(np.float32(values), np.float32(activations), 0, error)  # type: ignore[arg-type]


def test_the_ids_of_circuit_tracer_are_one_per_layer_and_index() -> None:
    ids = {feature_id(layer, index) for layer in range(60) for index in range(60)}
    assert len(ids) == 3600
    # As its page takes a number apart.
    for layer, index in ((0, 0), (0, 7), (5, 0), (25, 262143)):
        z = feature_id(layer, index)
        w = int((np.sqrt(8.0 * z + 1) - 1) // 2)
        y = z - w * (w + 1) // 2
        assert (w - y, y) == (layer, index)


def test_the_cache_of_delphi_holds_every_place_of_every_example(
    many: Snapshot, written: Written
) -> None:
    folder = written("delphi", many, examples=3)
    tokens: list[list[int]] = []
    active: dict[int, set[tuple[tuple[int, ...], int, float]]] = {n: set() for n in range(40)}
    for name, content in decoded(folder).items():
        if not name.endswith(".safetensors"):
            continue
        first = int(name.rpartition("/")[2].partition("_")[0])
        tokens = content["tokens"][1]
        for (row, position, latent), value in zip(
            content["locations"][1], content["activations"][1], strict=True
        ):
            active[first + latent].add((tuple(tokens[row]), position, value))
    for index in range(40):
        examples = many.feature(index).examples(k=3)
        width = len(tokens[0])
        expected = {
            ((*e.token_ids, *[0] * (width - len(e.token_ids))), at, float(np.float16(value)))
            for e in examples
            for at, value in enumerate(e.activations)
            if value
        }
        assert active[index] == expected


def test_neighbours_of_delphi_are_the_readers(many: Snapshot, written: Written) -> None:
    folder = written("delphi", many, examples=3) / "neighbours"
    (file,) = folder.glob("*-co-occurrence.json")
    found = json.loads(file.read_text())
    assert list(found) == [str(n) for n in range(40)]
    for index in range(40):
        expected = many.feature(index).coactivation(k=250)
        assert [latent for _, latent in found[str(index)]] == [
            int(label) for label in expected["label"].to_pylist()
        ]
        np.testing.assert_array_equal([s for s, _ in found[str(index)]], expected["jaccard"])


def test_neighbours_that_are_attached_are_written_and_others_named(
    attached: Snapshot, bare: Snapshot, written: Written
) -> None:
    folder = written("delphi", attached) / "neighbours"
    by_direction = {
        direction: json.loads(next(folder.glob(f"*-{direction}_similarity.json")).read_text())
        for direction in ("decoder", "encoder")
    }
    assert by_direction["decoder"]["3"] == [[0.5, 4], [0.25, 0]]
    assert by_direction["encoder"]["3"] == [[0.75, 4], [0.125, 0]]
    assert [*written("delphi", bare).glob("neighbours/*similarity.json")] == []


def test_the_lens_of_a_convention_is_written_where_a_feature_has_one(
    attached: Snapshot, written: Written
) -> None:
    token = attached.row_bytes([0, 1, 0])[1].decode()
    for convention, largest in (("raw", 3.0), ("folded", 2.0)):
        seen = written("saedashboard", attached, convention=convention) / "batch-0.json"
        features = json.loads(seen.read_text())["features"]
        assert features[2]["pos_values"][0] == largest
        assert features[2]["pos_str"][0] == token
        assert features[2]["logits_hist_data_bar_values"] == [-1.5, -0.5, 0.5, 1.5]
        assert features[3]["pos_str"] == []


def test_samples_of_spd_are_the_readers_and_its_counts_exact(
    many: Snapshot, written: Written
) -> None:
    folder = written("spd", many, clustering="decoder-directions", examples=5)
    data = decoded(folder)["data/__zanj__.json"]
    labels = [row["label"] for row in many.clusters.to_pylist() if row["iteration"] == 0]
    clusters = [many.cluster(label, "decoder-directions") for label in labels[40:]]
    assert len(clusters) == len(data["clusters"]) == 25
    (totals,) = many.table("totals").to_pylist()
    for cluster, (name, found) in zip(clusters, data["clusters"].items(), strict=True):
        assert name == found["cluster_hash"]
        assert [one["label"] for one in found["components"]] == list(cluster.members)
        examples = cluster.examples(k=5)
        for sample, example in zip(found["samples"], examples, strict=True):
            assert data["text_samples"][sample["text_hash"]]["full_text"] == example.text
            values = np.float32(sample["activations"]["data"])
            np.testing.assert_array_equal(values, np.float32(example.activations))  # type: ignore[arg-type]
        stats = found["stats"]
        assert sum(stats["all_activations"]["bin_counts"]) == stats["n_tokens"] == totals["tokens"]
        mean = cluster["mean_activation"] * cluster["firing_tokens"] / totals["tokens"]
        assert stats["mean_activation"] == pytest.approx(mean)
    pairs = np.array(decoded(folder)["data/coactivations.npy"])
    assert (pairs == pairs.T).all()
    assert pairs.diagonal().tolist() == [c["firing_tokens"] for c in clusters]
    for row in many.table("coactivation").to_pylist():
        a, b = row["cluster_a"] - clusters[0].number, row["cluster_b"] - clusters[0].number
        if a >= 0:
            assert pairs[a, b] == row["tokens"]


def test_bins_and_medians_of_spd_are_exact_where_activations_were_kept(tmp_path: Path) -> None:
    given = small()
    manifest = write_snapshot(str(tmp_path), given, run="kept")
    manifest = replace(
        manifest, chains=((0, 0), (0, 0)), about={**manifest.about, "keep": ACTIVATIONS}
    )
    dense = np.zeros((len(given.clusters), *given.values.shape[1:]), np.float32)
    for number, (_, _, members) in enumerate(given.clusters):
        if live := [member for member in members if member not in given.dropped]:
            dense[number] = np.abs(given.values[live]).max(axis=0)
    for partition in range(2):
        cluster, row, position = np.nonzero(dense[:, partition::2])
        value = dense[:, partition::2][cluster, row, position]
        columns = [cluster, row, position, np.zeros_like(row), value]
        arrays = [pa.array(each, field.type) for each, field in zip(columns, SCHEMA, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=SCHEMA)
        path = kept_path(manifest.run_id, partition, 0, 0)
        write_kept(open_store(str(tmp_path)), "kept", path, table)
    found = export(
        find_exporter("spd"), Snapshot(manifest), tmp_path / "out", {"clustering": "odd"}
    )
    assert not any("median" in note for note in found.notes)
    data = decoded(found.path)["data/__zanj__.json"]["clusters"]
    valid = np.zeros(dense.shape[1:], bool)
    for number, (_, ids) in enumerate(given.rows):
        valid[number, : len(ids)] = True
    assert len(data) == len(given.clusters) - 5
    for values, cluster in zip(dense[5:], data.values(), strict=True):
        counts, edges = np.histogram(values[valid], bins=10)
        bins = cluster["stats"]["all_activations"]
        assert (bins["bin_counts"], bins["bin_edges"]) == (counts.tolist(), edges.tolist())
        assert cluster["stats"]["median_activation"] == float(np.median(values[valid]))


def test_gzip_files_hold_no_time(bare: Snapshot, written: Written) -> None:
    for file in written("neuronpedia", bare).rglob("*.gz"):
        assert file.read_bytes()[4:8] == bytes(4)
        gzip.decompress(file.read_bytes())
