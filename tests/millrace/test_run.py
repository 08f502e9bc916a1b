"""``millrace run`` against numbers worked out with transformer-lens, sae-lens and plain Python."""

import hashlib
import itertools
import json
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.catalog import get_vocabulary
from streams.content import content_hash
from streams.plan import make_plan
from streams.run_catalog import get_run
from streams.snapshot import RunManifest
from streams.store import read_manifest, read_table
from streams.transport.client import connect
from tests.millrace.conftest import Program
from tests.models_on_disk import CONTEXT, WORDS

HOOK = "blocks.1.hook_resid_post"
K = 4
CLUSTERS = {"pair": ["sae:3", "sae:7"], "three": ["sae:0", "sae:7", "sae:40"], "one": ["sae:11"]}
TOLERANCE = 1e-5


@dataclass
class Row:
    """A row of the corpus as this test cuts it, its mask, and where it came from."""

    ids: list[int]
    count: int
    document: str
    domain: str


@dataclass
class Expected:
    """Of one cluster: its hits, how often it fires, and the sum of its activity."""

    hits: list[tuple[float, int, Row]] = field(default_factory=list)
    tokens: int = 0
    rows: int = 0
    sum: float = 0.0


def texts() -> list[tuple[str, str, list[int]]]:
    """Return documents: id, domain, and words. Some are longer than a row, one has one word."""
    random = np.random.default_rng(5)
    sizes = [1, 5, 16, 17, 40, 33, 8, 2, 100, 31]
    return [
        (f"doc-{n}", ("code", "prose")[n % 2], random.integers(0, WORDS, size).tolist())
        for n, size in enumerate(sizes)
    ]


def write_texts(path: Path) -> Path:
    with path.open("w") as file:
        for name, domain, words in texts():
            text = " ".join(f"w{word}" for word in words)
            file.write(json.dumps({"body": text, "name": name, "kind": domain}) + "\n")
    return path


def rows(pack: bool) -> list[Row]:
    """Cut by hand: documents never share a row, or with ``pack`` follow an end mark."""
    if not pack:
        return [
            Row(piece + [WORDS] * (CONTEXT - len(piece)), len(piece), name, domain)
            for name, domain, words in texts()
            for piece in itertools.batched_list(words, CONTEXT)  # type: ignore[attr-defined]
        ]
    raise NotImplementedError


def cut(words: list[int]) -> list[list[int]]:
    return [words[start : start + CONTEXT] for start in range(0, len(words), CONTEXT)]


def unpacked() -> list[Row]:
    """Return the rows that no two documents share, the last one of each padded."""
    return [
        Row(piece + [WORDS] * (CONTEXT - len(piece)), len(piece), name, domain)
        for name, domain, words in texts()
        for piece in cut(words)
    ]


def packed() -> list[list[int]]:
    """Return the rows of all documents in one stream, an end mark between two."""
    stream: list[int] = []
    for number, (_, _, words) in enumerate(texts()):
        stream += ([WORDS] if number else []) + words
    return cut(stream)


def cached(folder: Path, ids: list[list[int]], hook: str) -> Any:
    """Return the value of a hook for rows, one forward pass per row, from the library itself."""
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        from transformer_lens.model_bridge import TransformerBridge

        net = TransformerBridge.boot_transformers(str(folder), device="cpu").eval()
        found = [net.run_with_cache(torch.tensor([row]))[1][hook][0] for row in ids]
        return torch.stack(found)


def encoded(folder: Path, hooked: Any) -> np.ndarray:
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        from sae_lens import SAE

        dense = SAE.load_from_disk(folder, device="cpu").encode(hooked)
        return (dense.to_dense() if dense.is_sparse else dense).numpy()


def expectations(
    values: np.ndarray, valid: np.ndarray, clusters: dict[str, list[int]]
) -> dict[str, list[tuple[float, int]]]:
    """Return, per cluster, (score, row) of every row where it fires, best first."""
    found = {}
    for name, members in clusters.items():
        activity = values[:, :, members].max(axis=-1)
        fires = (activity > 0) & valid
        scores = np.where(fires, activity, -np.inf).max(axis=1)
        found[name] = sorted(
            ((float(s), int(r)) for r, s in enumerate(scores) if s > 0), key=lambda one: -one[0]
        )
    return found


def check(
    manifest: RunManifest,
    values: np.ndarray,
    valid: np.ndarray,
    ids: list[list[int]],
    clusters: dict[tuple[str, str], list[int]],
) -> None:
    """Compare a snapshot with activity [row, position, component] >= 0 computed elsewhere."""
    table = {name: read_table(manifest, name).to_pylist() for name in (
        "clusters", "hits", "samples", "components", "totals", "coactivation", "vocabulary"
    )}  # fmt: skip
    (totals,) = table["totals"]
    assert totals["tokens"] == valid.sum()
    assert totals["rows"] == valid.any(axis=1).sum()
    assert totals["refused"] == 0
    fires = (values > 0) & valid[:, :, None]
    for one in table["components"]:
        expected = int(fires[:, :, one["index"]].sum())
        assert one["firing_tokens"] == expected, one
        assert one["dead"] == (expected == 0)
    samples = {(s["partition"], s["sequence"], s["row"]): s for s in table["samples"]}
    words = {one["id"]: one["token"] for one in table["vocabulary"]}
    assert (words[0], words[59]) == (b"w0", b"w59")
    hits = defaultdict(list)
    for hit in table["hits"]:
        assert hit["criterion"] == "maximum"
        hits[hit["cluster"]].append(hit)
    assert {(c["clustering"], c["label"]) for c in table["clusters"]} == set(clusters)
    unique = {tuple(row): number for number, row in reversed(list(enumerate(trimmed(ids, valid))))}
    for cluster in table["clusters"]:
        members = clusters[cluster["clustering"], cluster["label"]]
        activity = np.where(fires[:, :, members], values[:, :, members], 0).max(axis=-1)
        assert cluster["firing_tokens"] == (activity > 0).sum()
        assert cluster["firing_rows"] == (activity > 0).any(axis=1).sum()
        assert cluster["sum"] / 2**20 == pytest.approx(activity.sum(), abs=1e-3)
        assert sum(cluster["histogram"]) == cluster["firing_tokens"]
        if cluster["firing_tokens"]:
            assert cluster["high"] == pytest.approx(activity.max(), abs=TOLERANCE)
            assert cluster["low"] == pytest.approx(activity[activity > 0].min(), abs=TOLERANCE)
        best = {row: float(activity[row].max()) for row in sorted(set(unique.values()))}
        ranked = sorted((score for score in best.values() if score > 0), reverse=True)[:K]
        found = hits[cluster["cluster"]]
        assert [hit["rank"] for hit in found] == list(range(len(ranked)))
        assert [hit["score"] for hit in found] == pytest.approx(ranked, abs=TOLERANCE)
        for hit in found:
            sample = samples[hit["partition"], hit["sequence"], hit["row"]]
            row = unique[tuple(sample["ids"])]
            assert hit["score"] == pytest.approx(best[row], abs=TOLERANCE)
            assert hit["peak"] == pytest.approx(int(activity[row].argmax()))
            dense = np.zeros(CONTEXT)
            dense[hit["positions"]] = hit["activity"]
            np.testing.assert_allclose(dense, activity[row], atol=TOLERANCE)
        assert len({hit["sample"] for hit in found}) == len(found)


def trimmed(ids: list[list[int]], valid: np.ndarray) -> list[list[int]]:
    return [row[: len(row)] for row in ids]


def oracle_content(broker: str, run: str) -> str:
    from consumers.creation import load_engine
    from consumers.oracle_run import oracle_tables, topic_batches

    client = connect(broker)
    plan = make_plan(get_run(client, run))
    vocabulary = get_vocabulary(client, plan.run.corpus).tokens
    batches = topic_batches(client, plan)
    return content_hash(oracle_tables(plan, load_engine(plan, "cpu"), batches, vocabulary))
