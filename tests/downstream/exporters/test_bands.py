"""Examples by interval: in their band, no more than asked for, and of the ranking."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import millrace
from consumers.snapshots.snapshots import write_plain
from downstream.exporters.bands import BANDS, borders, picked, shares
from downstream.reading.snapshot import Snapshot
from tests import factories
from tests.downstream.exporters.conftest import Written
from tests.downstream.exporters.decoded import decoded
from tests.test_docs import tables_of

EDGES = [0.25, 0.5, 1.0, 2.0, 4.0]


@given(
    scores=st.lists(st.floats(0.015625, 8.0, width=32), min_size=1, max_size=40),
    most=st.integers(1, 4),
)
def test_each_band_has_its_rows_and_its_bins_take_turns(scores: list[float], most: int) -> None:
    highest = max(scores)
    found = picked(scores, highest, EDGES, most)
    assert len({place for _, place in found}) == len(found)
    assert [band for band, _ in found] == sorted((band for band, _ in found), reverse=True)
    cuts = borders(highest)
    for band in range(BANDS):
        places = [place for own, place in found if own == band]
        here = [s for s in scores if min(int(s / highest * BANDS), BANDS - 1) == band]
        assert len(places) == min(most, len(here))
        for place in places:
            assert cuts[band] * 0.999 <= scores[place] <= cuts[band + 1] * 1.001
        bins = [int(np.searchsorted(EDGES, scores[place], side="right")) for place in places]
        every = {int(np.searchsorted(EDGES, s, side="right")) for s in here}
        assert len(set(bins)) == min(len(places), len(every))


@given(values=st.lists(st.floats(0.015625, 8.0, width=32), max_size=40))
def test_shares_are_of_all_tokens(values: list[float]) -> None:
    at = np.searchsorted(EDGES, values, side="right")
    numbers = {
        "activation_histogram": np.bincount(at, minlength=len(EDGES) + 1).tolist(),
        "min_activation": min(values, default=0.0),
        "max_activation": max(values, default=0.0),
        "firing_tokens": len(values),
        "activation_density": len(values) / 100,
    }
    found = shares(numbers, EDGES)
    assert len(found) == BANDS
    assert sum(found) == pytest.approx(len(values) / 100)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A snapshot of a run that ranks by intervals, too."""
    folder = tmp_path_factory.mktemp("store")
    hook = factories.source(coactivation=True, hook="blocks.0.hook_resid_pre")
    plan = factories.plan(name="ranked", rankings=("maximum", "intervals"), sources=(hook,))
    write_plain(plan, tables_of(plan), "final", str(folder))
    return millrace.open(folder)


def test_examples_by_interval_are_the_rankings(ranked: Snapshot, written: Written) -> None:
    seen = 0
    folder: Path = written("saedashboard", ranked, interval_examples=2, decimals=6)
    for feature in decoded(folder)["batch-0.json"]["features"]:
        own = ranked.feature(feature["feature_index"]).examples("intervals", k=1000)
        known = {(e.peak, tuple(np.asarray(e.activations, np.float32).tolist())) for e in own}
        rows = [one for one in feature["activations"] if one["bin_min"] >= 0]
        lows = [one["bin_min"] for one in rows]
        assert lows == sorted(lows, reverse=True)
        for one in rows:
            seen += 1
            assert one["bin_min"] <= max(one["values"]) <= one["bin_max"]
            assert 0 < one["bin_contains"] <= feature["frac_nonzero"]
            assert lows.count(one["bin_min"]) <= 2
            key = (
                one["qualifying_token_index"],
                tuple(np.asarray(one["values"], np.float32).tolist()),
            )
            assert key in known
    assert seen > 10


def test_circuit_tracer_has_a_quantile_per_band(ranked: Snapshot, written: Written) -> None:
    records = decoded(written("circuit-tracer", ranked)).values()
    names = {q["quantile_name"] for r in records for q in r["examples_quantiles"]}
    assert "Top activations" in names
    assert len([name for name in names if name.startswith("Subsample interval")]) > 3


def test_none_are_written_where_none_are_asked_for(ranked: Snapshot, written: Written) -> None:
    batch = decoded(written("saedashboard", ranked, interval_examples=0))["batch-0.json"]
    assert all(a["bin_min"] == -1 for f in batch["features"] for a in f["activations"])
