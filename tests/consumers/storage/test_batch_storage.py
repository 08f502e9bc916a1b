"""The pieces of SPD's cluster dashboards, bit for bit those of a plain triple loop."""

import hashlib
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from consumers.storage.batch_storage import BatchProcessingStorage
from consumers.storage.cluster_activations import compute_all_cluster_activations
from consumers.storage.cluster_id import ClusterId
from consumers.storage.dashboard_data import TrackingCriterion, dashboard_data
from consumers.storage.processed_activations import ProcessedActivations, process_activations
from consumers.storage.text_sample import TextSample

MODULES = {"blocks.0.mlp": 3, "blocks.1.mlp": 4}
DEAD = ("blocks.0.mlp:1", "blocks.1.mlp:3")
GROUPS: dict[int, list[tuple[str, int]]] = {
    7: [("blocks.0.mlp", 0), ("blocks.1.mlp", 2), ("blocks.0.mlp", 1)],
    2: [("blocks.1.mlp", 0)],
    5: [("blocks.1.mlp", 3), ("blocks.0.mlp", 1)],  # all members dead
    0: [],
    9: [("blocks.0.mlp", 0), ("blocks.0.mlp", 2)],
}


@dataclass
class Batch:
    processed: ProcessedActivations
    texts: list[TextSample]
    rows: int
    positions: int


def batch_of(rows: int, positions: int, seed: int) -> Batch:
    """Return random activations, about a third above 0, some of them below, two components dead."""
    random = np.random.default_rng(seed)
    raw = {}
    for module, width in MODULES.items():
        values = random.integers(-1, 9, (rows, positions, width)) / 4
        values *= random.random(values.shape) < 0.4
        for component in range(width):
            if f"{module}:{component}" in DEAD:
                values[..., component] = 0.005
        raw[module] = torch.from_numpy(values.astype(np.float32))
    words = [[f"w{random.integers(4)} " for _ in range(positions)] for _ in range(rows)]
    texts = [TextSample(full_text="".join(each), tokens=each) for each in words]
    return Batch(process_activations(raw, seq_mode="concat"), texts, rows, positions)


def components_of(groups: dict[int, list[tuple[str, int]]]) -> dict[int, list[dict[str, Any]]]:
    return {
        cluster: [{"module": m, "index": i, "label": f"{m}:{i}"} for m, i in members]
        for cluster, members in groups.items()
    }


def stored(groups: Any, batches: list[Batch]) -> BatchProcessingStorage:
    components = components_of(groups)
    ids = {c: ClusterId(clustering_run="run", iteration=3, cluster_label=c) for c in components}
    storage = BatchProcessingStorage.create(ids, components)
    for batch in batches:
        shape = batch.rows, batch.positions
        acts = compute_all_cluster_activations(batch.processed, components, *shape)
        storage._store_activations(acts, batch.processed, batch.texts, *shape)
    return storage


def by_loops(groups: Any, batches: list[Batch]) -> dict[str, Any]:
    """Return what a storage should hold, one number after the other."""
    found: dict[str, Any] = {}
    for cluster, members in groups.items():
        rows, hashes, tokens = [], [], []
        member_rows: dict[str, list[Any]] = {f"{m}:{i}": [] for m, i in members}
        for batch in batches:
            table = np.zeros((batch.rows, batch.positions), np.float32)
            alive = {}
            for label in member_rows:
                if label in batch.processed.labels:
                    alive[label] = batch.processed.labels.index(label)
            for row in range(batch.rows):
                for position in range(batch.positions):
                    sample = batch.processed.activations[row * batch.positions + position]
                    values = [float(sample[at]) for at in alive.values()]
                    table[row, position] = max(values) if values else 0.0
            if (table == 0).all():
                continue
            rows += list(table)
            hashes += [text.text_hash for text in batch.texts]
            tokens += [text.tokens for text in batch.texts]
            for label, at in alive.items():
                dense = batch.processed.activations[:, at].numpy()
                member_rows[label] += list(dense.reshape(batch.rows, batch.positions))
        found[f"run-3-{cluster}"] = (rows, hashes, tokens, member_rows)
    return found


def bits(rows: Any) -> list[bytes]:
    return [np.ascontiguousarray(row).tobytes() for row in rows]


@pytest.mark.parametrize(
    ("groups", "sizes"),
    [
        (GROUPS, [(3, 4), (1, 4), (128, 4)]),
        (GROUPS, [(0, 4), (2, 4)]),
        ({2: GROUPS[2]}, [(1, 1), (2, 5)]),
        ({5: GROUPS[5]}, [(2, 3)]),
        ({}, [(2, 3)]),
        (GROUPS, []),
    ],
    ids=["several", "empty batch", "single cluster", "dead cluster", "no cluster", "no batch"],
)
def test_what_is_stored_is_what_loops_find(groups: Any, sizes: list[tuple[int, int]]) -> None:
    batches = [batch_of(*size, seed) for seed, size in enumerate(sizes)]
    storage = stored(groups, batches)
    assert storage.cluster_hash_map == {cluster: f"run-3-{cluster}" for cluster in groups}
    expected = by_loops(groups, batches)
    assert list(storage.cluster_activations) == list(expected)
    for name, (rows, hashes, tokens, members) in expected.items():
        assert bits(storage.cluster_activations[name]) == bits(rows), name
        assert storage.cluster_text_hashes[name] == hashes
        assert storage.cluster_tokens[name] == tokens
        assert list(storage.component_activations[name]) == list(members)
        for label, own in members.items():
            assert bits(storage.component_activations[name][label]) == bits(own)
            assert storage.component_text_hashes[name][label] == (hashes if own else [])
    together = np.zeros((len(groups), len(groups)), np.int64)
    for batch in batches:
        acts = compute_all_cluster_activations(
            batch.processed, components_of(groups), batch.rows, batch.positions
        )
        columns = [acts.cluster_indices.index(cluster) for cluster in groups]
        for sample in acts.activations[:, columns].tolist():
            for a, one in enumerate(sample):
                for b, other in enumerate(sample):
                    together[a, b] += one > 0 and other > 0
    np.testing.assert_array_equal(storage.coactivations, together)


def test_dead_components_are_named_and_have_no_column() -> None:
    processed = batch_of(4, 5, 0).processed
    assert tuple(processed.dead_components_lst or ()) == DEAD
    assert (processed.n_components_original, processed.n_components_alive) == (7, 5)
    assert [processed.get_label_index(label) for label in DEAD] == [None, None]
    for at, label in enumerate(processed.labels):
        assert processed.get_label_index(label) == at
    with pytest.raises(KeyError):
        processed.get_label_index("blocks.0.mlp:3")
    raw = {"m": torch.tensor([[0.0, 2.0], [0.0, 4.0]])}
    assert process_activations(raw, 0.0).dead_components_lst is None
    mean = process_activations({"m": raw["m"][None]}, seq_mode="seq_mean")
    assert (mean.labels, mean.activations.tolist()) == (["m:1"], [[3.0]])
    with pytest.raises(ValueError, match="seq_mode None does not take"):
        process_activations({"m": raw["m"][None]})
    with pytest.raises(ValueError, match="no module"):
        process_activations({})


@pytest.mark.parametrize("separator", ["-", "."])
def test_cluster_ids_are_read_in_both_forms(separator: str) -> None:
    made = ClusterId(clustering_run="abc", iteration=100, cluster_label=7)
    text = made.to_string(separator)
    assert text == f"abc{separator}100{separator}7"
    assert ClusterId.from_string(text) == made
    other = "." if separator == "-" else "-"
    mixed = ClusterId(clustering_run=f"a{other}b", iteration=0, cluster_label=0)
    assert ClusterId.from_string(mixed.to_string(separator)) == mixed
    with pytest.raises(ValueError, match="holds"):
        mixed.to_string(other)


@pytest.mark.parametrize("text", ["", "a-1", "a-b-1", "a:b-1-2", "-1-2", "a-1-²", "a.1-2"])
def test_what_is_no_cluster_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no cluster id"):
        ClusterId.from_string(text)


def test_texts_have_eight_digits_and_never_share_them() -> None:
    batch = batch_of(2, 3, 1)
    text = batch.texts[0]
    assert text.text_hash == hashlib.sha256(text.full_text.encode()).hexdigest()[:8]
    storage = stored(GROUPS, [batch])
    twin = TextSample(full_text="another", tokens=["another"])
    twin.__dict__["text_hash"] = text.text_hash
    acts = compute_all_cluster_activations(batch.processed, components_of(GROUPS), 2, 3)
    before = len(storage.batches)
    with pytest.raises(ValueError, match=f"two different texts have the hash {text.text_hash}"):
        storage._store_activations(acts, batch.processed, [twin, batch.texts[1]], 2, 3)
    with pytest.raises(ValueError, match="1 texts for 2 rows of 3 positions"):
        storage._store_activations(acts, batch.processed, batch.texts[:1], 2, 3)
    with pytest.raises(ValueError, match="6 samples are no 2 rows of 4 positions"):
        compute_all_cluster_activations(batch.processed, components_of(GROUPS), 2, 4)
    assert len(storage.batches) == before


def test_dashboard_data_does_not_depend_on_how_text_was_cut() -> None:
    whole = batch_of(12, 4, 3)
    whole.texts[5] = whole.texts[1]
    cut = []
    for first, stop in ((0, 1), (1, 7), (7, 12)):
        raw = {
            module: values[first:stop] for module, values in whole.processed.activations_raw.items()
        }
        processed = process_activations(raw, seq_mode="concat")
        cut.append(Batch(processed, whole.texts[first:stop], stop - first, 4))
    criteria = [
        TrackingCriterion(property_name="max_activation", n_samples=5),
        TrackingCriterion(property_name="mean_activation", direction="min", n_samples=2),
    ]
    one, other = (dashboard_data(stored(GROUPS, each), criteria) for each in ([whole], cut))
    assert list(one.clusters) == list(other.clusters) == ["run-3-7", "run-3-2", "run-3-9"]
    for name, data in one.clusters.items():
        assert data.stats == other.clusters[name].stats
        assert data.criterion_samples == other.clusters[name].criterion_samples
    rows = np.stack(by_loops(GROUPS, [whole])["run-3-7"][0])
    data = one.clusters["run-3-7"]
    assert data.stats["median_activation"] == statistics.median(rows.reshape(-1).tolist())
    assert data.stats["mean_activation"] == statistics.fmean(rows.reshape(-1).tolist())
    counts = data.stats["all_activations"]["bin_counts"]
    assert (len(counts), sum(counts)) == (10, rows.size) == (10, data.stats["n_tokens"])
    chosen = data.criterion_samples["max_activation-max-5"]
    assert len(chosen) == len(set(chosen)) == 5
    least = min(sample.activations.max() for sample in data.samples[:5])
    others = [
        row.max()
        for row, text in zip(rows, whole.texts, strict=True)
        if text.text_hash not in chosen
    ]
    assert least >= max(others)
