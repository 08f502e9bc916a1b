"""Random rows and rows of intervals: uniform, other ones for every cluster, the same everywhere."""

from typing import Any

import numpy as np

from consumers.activations.engine import Activations
from consumers.oracle.oracle import Oracle
from consumers.plan import Plan
from streams.records.corpus import TokenBatch
from tests import factories

K, ROWS, FEATURES = 8, 64, 40
EDGES = np.array([1.0, 2.0], np.float32)


class Everywhere:
    """An engine under which every feature is active everywhere, more or less by the token."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def compute(self, batch: TokenBatch, valid: Any) -> Activations:
        component = np.repeat(np.arange(self.plan.components), valid.sum())
        row, position = np.nonzero(valid)
        count = self.plan.components
        value = np.tile(batch.ids[row, position].astype(np.float32) / 16, count)
        return Activations(
            component,
            np.tile(row.astype(np.int32), count),
            np.tile(position.astype(np.int32), count),
            value,  # type: ignore[arg-type]
        )


def batch() -> TokenBatch:
    ids = np.random.default_rng(0).integers(1, 49, (ROWS, 2))
    return factories.batch(ids, [2] * ROWS)


def hits(names: tuple[str, ...], **changes: Any) -> list[dict[str, Any]]:
    given = {"sources": (factories.source(components=FEATURES),), "clusterings": (), **changes}
    plan = factories.plan(rankings=names, bucket_bytes=10**6, edges=EDGES, **given)
    oracle = Oracle(plan, Everywhere(plan))
    oracle.add(batch())
    labels = [label for each in plan.clusterings for label in each.labels]
    found: list[dict[str, Any]] = oracle.tables([b"a"])["hits"].to_pylist()
    return [hit | {"label": labels[hit["cluster"]]} for hit in found]


def test_every_row_is_as_likely_as_any_and_features_show_other_rows():
    found = hits((f"random={K}",))
    counts = np.bincount([hit["row"] for hit in found], minlength=ROWS)
    mean = FEATURES * K / ROWS
    # Chi squared over 64 rows: mean 63, standard deviation 11.
    assert ((counts - mean) ** 2 / mean).sum() < 110
    chosen = {frozenset(h["sample"] for h in found if h["cluster"] == c) for c in range(FEATURES)}
    assert len(chosen) == FEATURES


def test_a_feature_shows_the_same_rows_in_a_run_where_it_has_another_number():
    before = factories.source("before", components=3)
    sources = before, factories.source(components=FEATURES)
    alone, later = hits((f"random={K}",)), hits((f"random={K}",), sources=sources)
    rows = [h["sample"] for h in alone]
    assert rows == [h["sample"] for h in later if h["cluster"] >= 3]
    assert [h["score"] for h in alone] == [max(h["activations"]) for h in alone]


def test_each_interval_shows_rows_of_its_own_the_highest_first():
    one = [hit for hit in hits(("intervals=2",)) if hit["cluster"] == 0]
    highest = (batch().ids / 16).max(axis=1)
    sizes = [sum(highest >= 2), sum((highest >= 1) & (highest < 2)), sum(highest < 1)]
    expected = [bin_ for bin_, size in enumerate(sizes) for _ in range(min(size, 2))]
    assert [2 - np.searchsorted(EDGES, hit["score"], "right") for hit in one] == expected
    assert [hit["rank"] for hit in one] == list(range(len(expected)))
    assert all(hit["score"] == highest[hit["row"]] for hit in one)
