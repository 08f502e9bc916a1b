"""Activation correlation against Pearson's over the dense activations of every token."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from downstream.dashboard.comparison import asked_of, compared
from downstream.dashboard.comparison_pairs import Part
from downstream.dashboard.correlation import Activations, correlated, pairs_by_correlation
from downstream.rendering.data import LoadedSnapshot
from streams.arrays import F64
from tests import factories
from tests.downstream.dashboard.test_over_a_run import opened

ROWS, TOKENS = 40, 12


def drawn(seed: int, clusters: int, k: int, keys: list[bytes]) -> tuple[Activations, F64]:
    """Return activations at random as a run keeps them, and all of them [cluster, row, token].

    A cluster keeps the first k rows in which it is active.
    """
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((clusters, len(keys), TOKENS)) < 0.2, rng.random(TOKENS), 0.0)
    dense[:, :, 3] *= rng.integers(1, 5, (clusters, 1))
    active = [np.flatnonzero(each.any(axis=1)) for each in dense]
    kept = np.zeros(dense.shape[:2], bool)
    for number, rows in enumerate(active):
        kept[number, rows[:k]] = True
    shown = np.where(kept[..., None], dense, 0.0)
    cluster, row, position = np.nonzero(shown)
    last = [int(rows[:k].max(initial=0)) for rows in active]
    names = np.array(keys, "S16")
    made = Activations(
        clusters=clusters,
        keys=names,
        lengths=np.full(len(keys), TOKENS),
        cluster=cluster,
        row=row,
        position=position,
        value=shown[cluster, row, position],
        last=names[last],
        full=np.array([len(rows) >= k for rows in active]),
    )
    return made, dense


def known(side: Activations, number: int, rows: int) -> int:
    """Return of how many rows all activations of a cluster are known."""
    if not side.full[number]:
        return rows
    return int(np.searchsorted(side.keys, side.last[number], side="right"))


@pytest.mark.parametrize("k", [3, 10, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_partner_is_that_of_every_pair(seed: int, k: int) -> None:
    keys = [bytes([n + 1]) * 16 for n in range(ROWS)]
    (one, dense_a), (two, dense_b) = drawn(seed, 7, k, keys), drawn(seed + 10, 5, k, keys)
    dense_b[0] = dense_a[0] * 2  # one that is the same but for its scale
    two = replace_first(two, one)
    scores = np.zeros((7, 5))
    for a in range(7):
        for b in range(5):
            stop = min(known(one, a, ROWS), known(two, b, ROWS))
            x, y = dense_a[a, :stop].ravel(), dense_b[b, :stop].ravel()
            if (x * y > 0).sum() >= 2:
                scores[a, b] = np.corrcoef(x, y)[0, 1]
    pairs = correlated(one, two, same_text=True)
    of_a, score_a = pairs.best(7)
    of_b, score_b = pairs.best(5, of_b=True)
    for a in range(7):
        assert score_a[a] == pytest.approx(max(scores[a].max(), 0))
        assert of_a[a] == (scores[a].argmax() if scores[a].max() > 0 else -1)
    for b in range(5):
        assert score_b[b] == pytest.approx(max(scores[:, b].max(), 0))
        assert of_b[b] == (scores[:, b].argmax() if scores[:, b].max() > 0 else -1)
    assert of_a[0] == 0
    assert score_a[0] == pytest.approx(1)


def replace_first(two: Activations, one: Activations) -> Activations:
    """Return ``two`` with twice the activations of the first cluster of ``one`` as its first."""
    others, first = two.cluster > 0, one.cluster == 0
    cluster, row, position = (
        np.concatenate([getattr(one, name)[first], getattr(two, name)[others]])
        for name in ("cluster", "row", "position")
    )
    value = np.concatenate([2 * one.value[first], two.value[others]])
    last, full = two.last.copy(), two.full.copy()
    last[0], full[0] = one.last[0], one.full[0]
    return replace(
        two, cluster=cluster, row=row, position=position, value=value, last=last, full=full
    )


def test_of_other_text_only_rows_of_both_are_compared() -> None:
    keys = [bytes([n + 1]) * 16 for n in range(ROWS)]
    (one, dense_a), (two, dense_b) = drawn(1, 3, 100, keys[:30]), drawn(2, 3, 100, keys[10:])
    pairs = correlated(one, two, same_text=False)
    assert pairs.note.startswith("20 contexts of 240 tokens")
    for a, b, score in zip(pairs.a, pairs.b, pairs.score, strict=True):
        x, y = dense_a[a, 10:].ravel(), dense_b[b, :20].ravel()
        assert score == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_too_much_work_looks_at_the_first_rows_alone() -> None:
    keys = [bytes([n + 1]) * 16 for n in range(ROWS)]
    (one, dense_a), (two, dense_b) = drawn(1, 6, 100, keys), drawn(2, 6, 100, keys)
    whole, part = (correlated(one, two, same_text=True, work=w) for w in (10**9, 300))
    assert whole.note.startswith("40 contexts")
    rows = int(part.note.split()[0])
    assert 0 < rows < 40
    for a, b, score in zip(part.a, part.b, part.score, strict=True):
        x, y = dense_a[a, :rows].ravel(), dense_b[b, :rows].ravel()
        assert score == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_none_is_its_own_partner() -> None:
    one, _ = drawn(3, 6, 100, [bytes([n + 1]) * 16 for n in range(ROWS)])
    pairs = correlated(one, one, same_text=True)
    assert len(pairs.a)
    assert (pairs.a != pairs.b).all()


def test_a_run_is_compared_with_what_its_model_gave(tmp_path: Path) -> None:
    plan = factories.plan(rankings=("maximum", "shared=6"))
    run = opened(tmp_path, plan)
    fewer = factories.plan(rankings=("maximum", "shared=4"))
    other = Part(opened(tmp_path / "fewer", fewer), run.clusterings[0])
    one = Part(run, run.clusterings[0])
    pairs = pairs_by_correlation(one, other)
    assert pairs is not None
    of_a, score = pairs.best(one.size)
    fires = run.firing_tokens[: one.size] > 1
    assert (of_a == np.arange(one.size))[fires].all()
    assert score[fires] == pytest.approx(1)
    page = compared(one, other, asked_of({"by": "correlation"}))
    assert "contexts of" in page.looked_at
    assert page.matched == fires.sum()


def test_a_run_without_shared_rows_says_what_is_needed(snapshot: LoadedSnapshot) -> None:
    part = Part(snapshot, snapshot.clusterings[0])
    assert pairs_by_correlation(part, part) is None
    assert "ranking shared" in compared(part, part, asked_of({"by": "correlation"})).problem
