"""``millrace run`` against numbers worked out with transformer-lens, sae-lens and plain Python."""

import json
import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import millrace
from consumers import plan
from consumers.plan import make_plan
from streams.catalog.corpora import get_vocabulary
from streams.catalog.runs import get_run
from streams.snapshots.about import ranking_names
from streams.snapshots.content import content_hash
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import read_manifest
from streams.snapshots.table_reading import read_table
from streams.tokenizer import loading
from streams.transport.connect import connect
from tests.millrace.conftest import Ended, Program
from tests.models_on_disk import ARCHITECTURES, CONTEXT, SHAPES, WORDS

HOOK = "blocks.1.hook_resid_post"
K = 4
GROUPS = {"pair": ["sae:3", "sae:7"], "three": ["sae:0", "sae:7", "sae:40"], "one": ["sae:11"]}
NEAR: dict[str, Any] = {"abs": 1e-5, "rel": 1e-5}
Clusters = dict[tuple[str, str], list[int]]


@dataclass(frozen=True)
class Row:
    """A row of the corpus as this test cuts it. ids: without padding."""

    ids: tuple[int, ...]
    document: str
    domain: str


@dataclass
class Expected:
    """Activity [row, position, component], 0 where a token is masked or nothing fires.

    values: the same with signs.
    """

    rows: list[Row]
    values: np.ndarray
    valid: np.ndarray

    @cached_property
    def activity(self) -> np.ndarray:
        return np.where(self.valid[:, :, None], np.abs(self.values), 0)


def texts() -> list[tuple[str, str, list[int]]]:
    """Return documents: id, domain, words. Some fill several rows, one has a single word."""
    random = np.random.default_rng(5)
    sizes = [1, 5, 16, 17, 40, 33, 8, 2, 100, 31]
    return [
        (f"doc-{number}", ("code", "prose")[number % 2], random.integers(0, WORDS, size).tolist())
        for number, size in enumerate(sizes)
    ]


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    with path.open("w") as file:
        for name, domain, words in texts():
            text = " ".join(f"w{word}" for word in words)
            file.write(json.dumps({"body": text, "name": name, "kind": domain}) + "\n")
    return path


def cut(words: list[int]) -> list[tuple[int, ...]]:
    return [tuple(words[start : start + CONTEXT]) for start in range(0, len(words), CONTEXT)]


def rows(pack: bool) -> list[Row]:
    """Return rows that no two documents share, or those of one stream with end marks in it."""
    if not pack:
        return [Row(ids, name, domain) for name, domain, words in texts() for ids in cut(words)]
    stream: list[int] = []
    for number, (_, _, words) in enumerate(texts()):
        stream += ([WORDS] if number else []) + words
    return [Row(ids, "", "") for ids in cut(stream)]


def expected(found: list[Row], model: Path, dictionary: Path | None, hook: str = HOOK) -> Expected:
    """Compute components row by row with the libraries alone."""
    import torch

    padded = [[*row.ids, *[WORDS] * (CONTEXT - len(row.ids))] for row in found]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        from sae_lens import SAE
        from transformer_lens.model_bridge import TransformerBridge

        net = TransformerBridge.boot_transformers(str(model), device="cpu").eval()
        hooked = torch.stack([net.run_with_cache(torch.tensor([r]))[1][hook][0] for r in padded])
        if dictionary is not None:
            hooked = SAE.load_from_disk(dictionary, device="cpu").encode(hooked)
    valid = np.array([[i < len(r.ids) and r.ids[i] < WORDS for i in range(CONTEXT)] for r in found])
    return Expected(found, hooked.numpy(), valid)


def check(manifest: RunManifest, source: str, want: Expected, clusters: Clusters) -> None:
    """Compare what a snapshot says of the clusters of one source with what it should."""
    assert manifest.final
    check_totals(manifest, want)
    check_components(manifest, source, want)
    numbers = {}
    activity = {}
    for one in read_table(manifest, "clusters").to_pylist():
        name = one["clustering"], one["label"]
        if name in clusters:
            numbers[one["cluster"]] = name
            activity[one["cluster"]] = want.activity[:, :, clusters[name]].max(axis=-1)
            check_counts(one, activity[one["cluster"]])
    assert sorted(numbers.values()) == sorted(clusters)
    check_together(manifest, numbers, activity)
    hits = defaultdict(list)
    for hit in read_table(manifest, "hits").to_pylist():
        hits[hit["cluster"], hit["ranking"]].append(hit)
    samples = {
        (s["partition"], s["sequence"], s["row"]): s
        for s in read_table(manifest, "samples").to_pylist()
    }
    for cluster, name in numbers.items():
        for ranking in ranking_names(manifest.about):
            check_best(hits[cluster, ranking], ranking, activity[cluster], want)
            check_rows(samples, hits[cluster, ranking], activity[cluster], want, clusters[name])


def check_totals(manifest: RunManifest, want: Expected) -> None:
    (totals,) = read_table(manifest, "totals").to_pylist()
    assert totals["tokens"] == want.valid.sum()
    assert totals["rows"] == want.valid.any(axis=1).sum()
    assert totals["refused"] == 0
    words = [one["token"].strip() for one in read_table(manifest, "vocabulary").to_pylist()]
    assert words[:WORDS] == [f"w{number}".encode() for number in range(WORDS)]


def check_components(manifest: RunManifest, source: str, want: Expected) -> None:
    fired = (want.activity > 0).sum(axis=(0, 1))
    found = [c for c in read_table(manifest, "features").to_pylist() if c["source"] == source]
    assert [(c["index"], c["firing_tokens"], c["dead"]) for c in found] == [
        (index, count, count == 0) for index, count in enumerate(fired.tolist())
    ]


def check_counts(found: dict[str, Any], activity: np.ndarray) -> None:
    firing = activity[activity > 0]
    assert found["firing_tokens"] == len(firing)
    assert found["firing_rows"] == (activity > 0).any(axis=1).sum()
    assert sum(found["activation_histogram"]) == len(firing)
    assert found["activation_sum"] / 2**20 == pytest.approx(firing.sum(), abs=1e-3)
    if len(firing):
        assert found["max_activation"] == pytest.approx(firing.max(), **NEAR)
        assert found["min_activation"] == pytest.approx(firing.min(), **NEAR)


def check_together(
    manifest: RunManifest, numbers: dict[int, tuple[str, str]], activity: dict[int, np.ndarray]
) -> None:
    found = {
        (pair["cluster_a"], pair["cluster_b"]): pair["tokens"]
        for pair in read_table(manifest, "coactivation").to_pylist()
        if pair["cluster_a"] in numbers
    }
    counts = {
        (a, b): int(((activity[a] > 0) & (activity[b] > 0)).sum())
        for a in numbers
        for b in numbers
        if a < b and numbers[a][0] == numbers[b][0]
    }
    assert found == {pair: count for pair, count in counts.items() if count}


def check_best(
    found: list[dict[str, Any]], ranking: str, activity: np.ndarray, want: Expected
) -> None:
    """Compare scores, best first; a context that occurs twice is one sample."""
    best = {}
    for row, one in enumerate(want.rows):
        last = np.flatnonzero(want.valid[row])[-1] if want.valid[row].any() else 0
        best[one.ids] = activity[row].max() if ranking == "maximum" else activity[row, last]
    ranked = sorted((score for score in best.values() if score > 0), reverse=True)[:K]
    assert [hit["rank"] for hit in found] == list(range(len(ranked)))
    assert [hit["score"] for hit in found] == pytest.approx(ranked, **NEAR)
    assert len({hit["sample"] for hit in found}) == len(found)


def check_rows(
    samples: dict[tuple[int, int, int], dict[str, Any]],
    found: list[dict[str, Any]],
    activity: np.ndarray,
    want: Expected,
    members: list[int],
) -> None:
    """Compare the text of each hit, and the activity of cluster and members at every token."""
    for hit in found:
        sample = samples[hit["partition"], hit["sequence"], hit["row"]]
        (row, *_) = [n for n, one in enumerate(want.rows) if one.ids == tuple(sample["ids"])]
        if want.rows[row].document:
            assert sample["domain"] in ("code", "prose")
            same = [one for one in want.rows if one.ids == tuple(sample["ids"])]
            assert (sample["document"], sample["domain"]) in [(s.document, s.domain) for s in same]
        dense = np.zeros(CONTEXT)
        dense[hit["positions"]] = hit["activations"]
        np.testing.assert_allclose(dense, activity[row], atol=1e-5, rtol=1e-5)
        for member, position, value in zip(
            hit["member_indices"], hit["member_positions"], hit["member_activations"], strict=True
        ):
            assert value == pytest.approx(want.values[row, position, members[member]], **NEAR)


def oracle_content(broker: str, run: str) -> str:
    from consumers.oracle.oracle_run import oracle_tables, topic_batches
    from consumers.runs.loading import load_engine

    client = connect(broker)
    plan = make_plan(get_run(client, run))
    words = get_vocabulary(client, plan.run.corpus)
    batches = topic_batches(client, plan)
    tables = oracle_tables(plan, load_engine(plan, "cpu"), batches, words.tokens, words.forms)
    return content_hash(tables, plan.forms)


def snapshot_of(ended: Ended) -> RunManifest:
    """Return the snapshot that a run ended with; the hash that it printed is the snapshot's."""
    assert ended.status == 0, ended.lines
    said = dict(line.split(" ", 1) for line in ended.lines if line[:4] in ("snap", "cont"))
    manifest = read_manifest(said["snapshot"])
    assert manifest.content == said["content"]
    return manifest


FIELDS = ("--text-field", "body", "--id-field", "name", "--domain-field", "kind")
SMALL = ("--device", "cpu", "--batch-size", 3, "--micro-batch", 2, "--partitions", 3, "--k", K)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shape", SHAPES)
def test_dictionaries(
    program: Program,
    disk: Path,
    jsonl: Path,
    tmp_path: Path,
    broker: str,
    shape: str,
    architecture: str,
) -> None:
    pack = (SHAPES.index(shape) + ARCHITECTURES.index(architecture)) % 2 == 1
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps(GROUPS))
    ended = program(
        "run", jsonl, *FIELDS, *SMALL, "--broker", broker, "--store", tmp_path / "store",
        "--model", disk / shape, "--dictionary", disk / architecture, "--clusters", groups,
        "--pack" if pack else "--no-pack", "--workers", 2 if pack else 1, "--run", "tiny",
    )  # fmt: skip
    manifest = snapshot_of(ended)
    assert manifest.content == oracle_content(broker, "tiny")
    want = expected(rows(pack), disk / shape, disk / architecture)
    assert (want.values >= 0).all()
    singles = {("features/sae", str(index)): [index] for index in range(48)}
    grouped = {
        ("groups", name): [int(label.partition(":")[2]) for label in labels]
        for name, labels in GROUPS.items()
    }
    check(manifest, "sae", want, singles | grouped)


def test_neurons_and_weights(
    program: Program, disk: Path, jsonl: Path, tmp_path: Path, broker: str
) -> None:
    from safetensors.numpy import save_file

    weights = np.random.default_rng(1).normal(size=(32, 6)).astype(np.float32)
    save_file({"V": weights}, tmp_path / "v.safetensors")
    hook = "blocks.2.hook_resid_pre"
    settings = tmp_path / "run.toml"
    settings.write_text(f"""
store = "out"
[corpus]
text = ["{jsonl.name}"]
text_field = "body"
[run]
rankings = ["maximum", "last"]
shards = 3
keep = "activations"
[model]
path = "{disk / "llama"}"
[[neurons]]
name = "mlp"
hook = "blocks.0.mlp.hook_post"
[[weights]]
name = "v"
path = "v.safetensors"
tensor = "V"
hook = "{hook}"
""")
    names = ("peak_position", "domains", "noise_robustness=sizes:2", "hook_values=one_in:1",
             "health=one_in:4")  # fmt: skip
    optional = [word for name in names for word in ("--statistic", name)]
    ended = program("run", "--settings", settings, *SMALL, "--broker", broker, *optional)
    manifest = snapshot_of(ended)
    assert manifest.store == str(tmp_path / "out")
    assert len(read_table(manifest, "peak_positions"))
    assert len(read_table(manifest, "noise_robustness"))
    assert set(read_table(manifest, "hook_values")["hook"].to_pylist()) == {
        "blocks.0.mlp.hook_post", hook
    }  # fmt: skip
    assert any("all activations are kept" in line for line in ended.lines)
    kept = pa.concat_tables(millrace.open(tmp_path / "out").activations.batches())
    counts = np.bincount(kept["cluster"], minlength=len(read_table(manifest, "clusters")))
    assert counts.tolist() == read_table(manifest, "clusters")["firing_tokens"].to_pylist()
    assert manifest.content == oracle_content(broker, "run")
    bare = [Row(row.ids, "", "") for row in rows(False)]
    neurons = expected(bare, disk / "llama", None, "blocks.0.mlp.hook_post")
    count = neurons.values.shape[-1]
    check(manifest, "mlp", neurons, {("features/mlp", str(i)): [i] for i in range(count)})
    hooked = expected(bare, disk / "llama", None, hook)
    values = Expected(bare, hooked.values @ weights, hooked.valid)
    check(manifest, "v", values, {("features/v", str(i)): [i] for i in range(6)})


def test_a_limit_ends_the_text(
    program: Program, disk: Path, jsonl: Path, tmp_path: Path, broker: str
) -> None:
    ended = program(
        "run", jsonl, *FIELDS, *SMALL, "--limit", "3documents", "--broker", broker,
        "--model", disk / "gpt2", "--dictionary", disk / "standard",
        "--statistic", "health=one_in:1",
    )  # fmt: skip
    manifest = snapshot_of(ended)
    (totals,) = read_table(manifest, "totals").to_pylist()
    assert totals["tokens"] == 1 + 5 + 16
    (health,) = read_table(manifest, "health").to_pylist()
    fired = sum(read_table(manifest, "features")["firing_tokens"].to_pylist())
    assert (health["source"], health["l0"]) == ("sae", fired / 22)
    (same,) = millrace.open(manifest.store, run="run").health
    assert same == {**same, **health}
    dead = sum(read_table(manifest, "features")["dead"].to_pylist())
    assert (same["features"], same["dead"], same["dead_share"]) == (48, dead, dead / 48)
    assert (health["sampled_rows"], health["tokens"], health["predictions"]) == (3, 22, 19)
    assert health["cross_entropy"] > 3
    assert manifest.content == oracle_content(broker, "run")
    assert Path(".millrace/snapshots/run").is_dir(), "the usual store is here"


def test_another_run_of_a_name_that_the_store_has_is_refused_or_replaces(
    program: Program, disk: Path, tmp_path: Path, broker: str
) -> None:
    store, first, second = tmp_path / "store", tmp_path / "1.txt", tmp_path / "2.txt"
    first.write_text("w1 w2 w3 w4")
    second.write_text("w5 w6 w7 w8")
    usual = (
        *SMALL, "--store", store, "--model", disk / "gpt2", "--dictionary", disk / "standard",
        "--run", "run",
    )  # fmt: skip
    made = snapshot_of(program("run", first, *usual, "--broker", broker))
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    said = program("run", second, *usual, "--broker", f"{broker}-2").refusal()
    assert "has snapshots of an earlier run 'run' (final; " in said
    assert "--replace" in said
    assert before == {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    again = program("run", second, *usual, "--broker", f"{broker}-2", "--replace")
    assert "replaced: the store" in " ".join([again.out, *again.lines])
    assert snapshot_of(again).content != made.content
    left = {str(path.relative_to(store / "run")) for path in store.rglob("*") if path.is_file()}
    new = read_manifest(str(store / "run" / "final"))
    assert left == {"final/manifest.json", *(part.path for part in new.files)}


def test_runs_that_nobody_named_stand_beside_each_other(
    program: Program, disk: Path, tmp_path: Path, broker: str
) -> None:
    store, text = tmp_path / "store", tmp_path / "1.txt"
    usual = (
        *SMALL, "--store", store, "--model", disk / "gpt2", "--dictionary", disk / "standard",
    )  # fmt: skip
    made = []
    for number in range(3):
        text.write_text(f"w{number} w7 w8")
        ended = program("run", text, *usual, "--broker", f"{broker}-{number}")
        made.append(snapshot_of(ended))
    assert "the store has a run 'run': this one is 'run-3'" in " ".join([ended.out, *ended.lines])
    assert [each.run for each in made] == ["run", "run-2", "run-3"]
    for each in made:
        assert read_manifest(str(store / each.run / "final")).content == each.content


def test_creating_a_run_of_a_name_that_the_store_has_asks_for_replace(
    program: Program, disk: Path, tmp_path: Path, broker: str
) -> None:
    text, store = tmp_path / "1.txt", tmp_path / "store"
    text.write_text("w1 w2 w3 w4")
    usual = (
        *SMALL, "--store", store, "--model", disk / "gpt2", "--dictionary", disk / "standard",
    )  # fmt: skip
    snapshot_of(program("run", text, *usual, "--broker", broker))
    settings = tmp_path / "r.toml"
    settings.write_text(
        f"store = '{store}'\n[model]\npath = '{disk / 'gpt2'}'\n"
        f"[[dictionaries]]\nname = 'sae'\npath = '{disk / 'standard'}'\n"
    )
    given = ("--settings", settings, "--broker", f"{broker}-2")
    assert program("produce", text, *given).status == 0
    assert "--replace" in program("runs", "create", *given, "--device", "cpu").refusal()
    created = program("runs", "create", *given, "--device", "cpu", "--replace")
    assert "removed: the store" in created.out
    assert not list(store.rglob("manifest.json"))
    assert program("runs", "create", *given, "--device", "cpu").status == 0, "its own name"


def test_the_oracle_needs_no_broker_after_a_run_without_one(
    program: Program, disk: Path, jsonl: Path, tmp_path: Path, broker: str
) -> None:
    parts = ("--model", disk / "gpt2", "--dictionary", disk / "standard", *SMALL)
    dump = tmp_path / "corpus.dump"
    run = ("run", jsonl, *FIELDS, *parts, "--store", tmp_path / "store", "--dump", dump)
    made = snapshot_of(program(*run, "--broker", broker))
    others = (f"{broker}-{n}" for n in range(2, 9))
    from_text = program("oracle", jsonl, *FIELDS, *parts, "--broker", next(others))
    assert f"content {made.content}" in from_text.out, from_text.lines
    settings = tmp_path / "r.toml"
    settings.write_text(
        f"[model]\npath = '{disk / 'gpt2'}'\nmicro_batch = 2\ndevice = 'cpu'\n"
        f"[run]\nk = {K}\n[[dictionaries]]\nname = 'sae'\npath = '{disk / 'standard'}'\n"
    )
    given = ("oracle", "--settings", settings, "--broker")
    from_dump = program(*given, next(others), "--dump", dump, "--out", tmp_path / "plain")
    assert f"content {made.content}" in from_dump.out, from_dump.lines
    assert (tmp_path / "plain").is_dir()
    assert "text" in program(*given, next(others)).refusal()
    nowhere = program(*run[:-1], tmp_path / "no" / "dump", "--broker", next(others)).refusal()
    assert "name a file in a folder that is there" in nowhere


def test_running_again_is_quick_and_the_same(
    program: Program, disk: Path, jsonl: Path, tmp_path: Path, broker: str
) -> None:
    store = tmp_path / "store"
    usual = (
        *SMALL, "--store", store, "--model", disk / "gpt2", "--dictionary", disk / "standard",
    )  # fmt: skip
    first = snapshot_of(program("run", jsonl, *FIELDS, *usual, "--broker", broker))
    again = snapshot_of(program("run", jsonl, *FIELDS, *usual, "--broker", broker))
    assert again == first, "all was there"
    bare = snapshot_of(program("run", *usual, "--broker", broker))
    assert bare == first, "without text the corpus is taken as it is"
    anew = (*FIELDS, *usual, "--broker", f"{broker}-2", "--replace")
    other = snapshot_of(program("run", jsonl, *anew))
    assert other.content == first.content, "a new broker over the same store"
    assert not list(store.rglob("*.tmp"))
    second = snapshot_of(
        program("run", *usual, "--broker", broker, "--run", "two", "--dictionary", disk / "topk")
    )
    assert second.content != first.content
    assert [s["name"] for s in second.about["sources"]] == ["sae", "sae-2"]


def test_the_tokenizer_is_loaded_once_and_the_plan_made_once(
    program: Program, disk: Path, jsonl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, planned = [], []
    load, check_run = loading._load_plain, plan.check_run  # type: ignore[attr-defined]
    monkeypatch.setattr(
        loading, "_load_plain", lambda *given: (loaded.append(given), load(*given))[1]
    )
    monkeypatch.setattr(
        plan, "check_run", lambda run, *more: (planned.append(run), check_run(run, *more))[1]
    )
    ended = program(
        *("run", jsonl, "--text-field", "body", "--model", disk / "gpt2", "--k", K),
        *("--dictionary", disk / "standard", "--pack", "--run", "once"),
    )
    assert ended.status == 0, ended.lines
    assert len(loaded) == 1
    # Compiled loops are made ready with a small run of made-up sources.
    assert [run.name for run in planned if run.sources[0].name == "sae"] == ["once"]
