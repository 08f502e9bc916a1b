"""The local labeller against a plain recomputation, and what it is compared with."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import millrace
from downstream.derived.attach import attach, write_derived
from downstream.derived.derivation import Options
from downstream.derived.registry import find_derivation
from downstream.labelling.contrast import shares_beside, telling_tokens, token_shares
from downstream.labelling.local_labels import AUTHOR, local_labels
from downstream.reading.made_labels import LABELS, read_made_labels
from downstream.reading.snapshot import Snapshot
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.derived.conftest import World, written

NOW = "2031-05-06T07:08:09+00:00"
examples = st.lists(
    st.tuples(st.integers(0, 5), st.integers(-1, 4), st.floats(0.125, 8)), min_size=1, max_size=40
)
near = st.dictionaries(st.integers(0, 5), st.sets(st.integers(0, 5)), max_size=6)


@given(examples, near)
def test_shares_and_contrast_are_those_of_a_plain_loop(rows, nearest):
    cluster, token, weight = map(np.array, zip(*rows, strict=True))
    own = token_shares(cluster, token, weight.astype(float), 6)
    pairs = np.array([(a, b) for a, others in nearest.items() for b in others], int).reshape(-1, 2)
    matrix = csr_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape=(6, 6))
    clusterings = [range(0, 4), range(4, 6)]
    beside = shares_beside(own, matrix, np.array([0, 4, 6]))
    plain: dict[int, dict[int, float]] = {c: defaultdict(float) for c in range(6)}
    for c in range(6):
        whole = sum(w for k, _, w in rows if k == c)
        for k, t, w in rows:
            if k == c:
                plain[c][t] += w / whole
    found = telling_tokens(own, beside, 3)
    for c in range(6):
        alike = next(span for span in clusterings if c in span)
        others = list(nearest.get(c) or (o for o in alike if o != c))
        worths = {}
        for t, share in plain[c].items():
            theirs = sum(plain[o].get(t, 0.0) for o in others)
            worths[t] = share, theirs / max(len(others), 1)
        worths.pop(-1, None)
        large = {t: v for t, v in worths.items() if v[0] >= 0.1 + 1e-9}
        if len(large) != sum(v[0] >= 0.1 - 1e-9 for v in worths.values()):
            continue  # on the edge a float decides
        value = {t: s * math.log2((s + 0.02) / (b + 0.02)) for t, (s, b) in worths.items()}
        for one in found[c]:
            assert (one.share, one.neighbours) == pytest.approx(worths[one.token])
        assert len(found[c]) == (min(3, len(large)) or min(1, len(worths)))
        best = sorted((value[t] for t in large or worths), reverse=True)
        assert [value[one.token] for one in found[c]] == pytest.approx(best[: len(found[c])])


@pytest.fixture
def world(tmp_path) -> World:
    return written(tmp_path / "store", tmp_path / "weights")


def test_every_active_cluster_has_a_label_and_the_same_one_again(world: World) -> None:
    snapshot = Snapshot(world.manifest)
    first, again = local_labels(snapshot), local_labels(snapshot)
    table = first.tables[LABELS]
    assert table.equals(again.tables[LABELS])
    active = {c["cluster"] for c in snapshot.clusters.to_pylist() if c["firing_tokens"]}
    assert active <= set(table["cluster"].to_pylist())
    assert set(table["author"].to_pylist()) == {AUTHOR}
    labels = dict(zip(*(table[n].to_pylist() for n in ("cluster", "label")), strict=True))
    assert labels[0].startswith("the")
    assert len(first.left_out) == 2
    assert not any(character in label for label in labels.values() for character in "\n\u202e")


def test_logit_lens_and_neighbours_are_used_where_they_are_attached(world: World) -> None:
    for kind in ("logit_lens", "neighbours"):
        attach(find_derivation(kind), world.given, Options(k=2), created=NOW)
    snapshot = Snapshot(world.manifest)
    made = local_labels(snapshot)
    assert made.left_out == []
    lens = snapshot.attachment("logit_lens")["logit_lens"].to_pandas()
    tops = lens[lens.convention == "folded"].set_index(["source", "index"]).top_tokens
    labels = made.tables[LABELS].to_pylist()
    promotes = {row["cluster"]: row["label"].partition("promotes ")[2] for row in labels}
    for feature in range(5):
        texts = [snapshot.token_text(int(token)).strip() for token in tops["sae", feature][:2]]
        assert [text for text in texts if text.isalpha() and text not in promotes[feature]] == []
    rows = {row["cluster"]: row for row in list(made.tables.values())[1].to_pylist()}
    cosines = snapshot.attachment("neighbours")["neighbours"].to_pandas()
    chosen = cosines[(cosines.direction == "decoder") & (cosines.source == cosines.other_source)]
    others = chosen[chosen["index"] == 0].other_indices.iloc[0].tolist()
    for token, share in zip(rows[0]["tokens"], rows[0]["other_shares"], strict=True):
        beside = [peak_share(snapshot, other, token) for other in others]
        assert share == pytest.approx(sum(beside) / len(beside), abs=1e-6)


def peak_share(snapshot: Snapshot, feature: int, token: int) -> float:
    found = snapshot.feature(f"sae:{feature}").examples(k=20)
    weights = {at: each.score for at, each in enumerate(found)}
    ours = (w for at, w in weights.items() if found[at].token_ids[found[at].peak] == token)
    return sum(ours) / sum(weights.values()) if weights else 0.0


def test_they_are_an_attachment_and_a_newer_one_by_a_model_comes_first(tmp_path) -> None:
    manifest = write_snapshot(str(tmp_path), small())
    snapshot = Snapshot(manifest)
    made = local_labels(snapshot)
    write_derived("labels", snapshot, made, created=NOW, name="local")
    better = LABELS.table({"cluster": [0], "label": ["articles"], "author": ["a model"]})
    older = "2030-01-01T00:00:00+00:00"
    write_derived("labels", snapshot, type(made)({LABELS: better}, {}), created=older, name="model")
    opened = millrace.open(str(tmp_path))
    found = read_made_labels(opened.attachments, len(opened.clusters))
    assert found.of(0).text == "articles"
    assert found.of(0).author == "a model"
    assert found.of(2).author == AUTHOR
    assert found.of(10**6) is None
    assert opened.verify() == manifest.content
