"""Panels of optional statistics, from tables that a snapshot may have."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.statistics import (
    distribution,
    domains,
    peak_position,
    place,
    position,
    row_maximum,
)
from downstream.rendering.opening import open_snapshot
from downstream.rendering.panels.distribution import QUANTILES
from downstream.rendering.panels.panel import panels_of
from downstream.rendering.panels.registry import PANELS
from streams.snapshots.content import table_hash
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store, write_part
from streams.snapshots.table_entry import table_entry
from streams.snapshots.tables import TableForm
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot

DOMAINS = {"domain": ["", "<i>code</i>", "prose"], "tokens": [4, 8, 20], "rows": [1, 1, 1]}
FIRINGS = {
    "cluster": [0, 0, 1],
    "domain": ["<i>code</i>", "prose", "prose"],
    "firing_tokens": [6, 2, 5],
    "firing_rows": [1, 1, 1],
}
POSITIONS = {"cluster": [0, 0], "first": [8, 16], "stop": [12, 20], "rows": [3, 1]}


def with_tables(manifest: RunManifest, tables: dict[TableForm, dict[str, Any]]) -> RunManifest:
    """Return the manifest of the snapshot with tables of statistics in it."""
    for form, columns in tables.items():
        table = form.table(columns)
        entry = table_entry(form, table_hash(form.schema, [table]), content=True)
        store = open_store(manifest.store)
        part = write_part(store, manifest.run, form.name, 0, table, schema=form.schema)
        manifest = replace(
            manifest, tables=(*manifest.tables, entry), files=(*manifest.files, part)
        )
    return manifest


def shown(manifest: RunManifest, cluster: int) -> dict[str, Any]:
    return {p.kind: p for p in panels_of(PANELS, open_snapshot(manifest), (), cluster)}


@pytest.fixture
def plain(tmp_path: Path, given: Given) -> RunManifest:
    return write_snapshot(str(tmp_path), given)


def test_densities_by_domain_are_of_its_tokens(plain: RunManifest) -> None:
    manifest = with_tables(plain, {domains.DOMAINS: DOMAINS, domains.FIRINGS: FIRINGS})
    assert "domain_firings" not in shown(plain, 0)
    found = shown(manifest, 0)["domain_firings"].shown.domains
    assert [(d.domain, d.density, d.share) for d in found] == [
        ("<i>code</i>", 0.75, 0.75), ("prose", 0.1, 0.25),
    ]  # fmt: skip
    assert "domain_firings" not in shown(manifest, 2)
    wrong = {**FIRINGS, "firing_tokens": [9, 2, 5]}  # more than the domain has
    manifest = with_tables(plain, {domains.DOMAINS: DOMAINS, domains.FIRINGS: wrong})
    assert shown(manifest, 0)["domain_firings"].problem


def test_positions_are_shown_from_the_first_on(plain: RunManifest) -> None:
    manifest = with_tables(plain, {peak_position.FORM: POSITIONS})
    bins = shown(manifest, 0)["peak_positions"].shown.bins
    assert [(b.left, b.right, b.count) for b in bins] == [
        (0, 8, 0), (8, 12, 3), (12, 16, 0), (16, 20, 1),
    ]  # fmt: skip
    assert "peak_positions" not in shown(manifest, 1)
    wrong = {**POSITIONS, "stop": [8, 20]}
    manifest = with_tables(plain, {peak_position.FORM: wrong})
    assert shown(manifest, 0)["peak_positions"].problem


def test_a_distribution_has_each_number_with_its_error(plain: RunManifest) -> None:
    assert distribution.QUANTILES == QUANTILES
    columns: dict[str, Any] = {
        "cluster": [0],
        "variance": [4.0],
        "skewness": [-0.5],
        "skewness_error": [0.25],
        "quantiles": [[float(n) for n in range(7)]],
        "quantile_errors": [[0.5] * 7],
    }
    found = shown(with_tables(plain, {distribution.FORM: columns}), 0)["activation_distribution"]
    assert (found.shown.deviation, found.shown.skewness, found.shown.skewness_error) == (
        2, -0.5, 0.25,
    )  # fmt: skip
    assert [(q.share, q.value, q.error) for q in found.shown.quantiles] == [
        (share, number, 0.5) for number, share in enumerate(QUANTILES)
    ]
    assert "activation_distribution" not in shown(plain, 0)
    for wrong in ({"variance": [-1.0]}, {"skewness": [np.nan]}, {"quantiles": [[1.0]]}):
        manifest = with_tables(plain, {distribution.FORM: {**columns, **wrong}})
        assert shown(manifest, 0)["activation_distribution"].problem


def test_row_maxima_are_shown_over_the_bins_of_the_run(plain: RunManifest) -> None:
    edges = plain.about["edges"]
    counts = [0, 3, *[0] * (len(edges) - 2), 2]
    columns: dict[str, Any] = {"cluster": [0], "histogram": [counts]}
    found = shown(with_tables(plain, {row_maximum.FORM: columns}), 0)["row_maxima"].shown.bins
    assert sum(each.count for each in found) == 5
    assert found[0].left == pytest.approx(edges[0])
    columns["histogram"] = [counts[1:]]
    assert shown(with_tables(plain, {row_maximum.FORM: columns}), 0)["row_maxima"].problem


def test_activation_by_position_is_a_share_of_the_tokens_there(plain: RunManifest) -> None:
    bits = plain.about["sum_bits"]
    tokens = {"first": [0, 8], "stop": [8, 16], "tokens": [40, 20]}
    active = {
        "cluster": [0],
        "first": [8],
        "stop": [16],
        "firing_tokens": [5],
        "activation_sum": [15 << bits],
    }
    manifest = with_tables(plain, {position.TOKENS: tokens, position.ACTIVATION: active})
    found = shown(manifest, 0)["activation_by_position"].shown.steps
    assert [(s.left, s.right, s.share, s.title) for s in found] == [
        (0, 8, 0.0, "positions 0 to 7: active at 0 % of tokens"),
        (8, 16, 0.25, "positions 8 to 15: active at 25.0 % of tokens, mean activation 3.00"),
    ]
    assert "activation_by_position" not in shown(manifest, 1)
    for wrong in ({"firing_tokens": [21]}, {"first": [7]}):
        manifest = with_tables(
            plain, {position.TOKENS: tokens, position.ACTIVATION: active | wrong}
        )
        assert shown(manifest, 0)["activation_by_position"].problem


def test_the_first_and_the_last_row_are_named_by_their_place(plain: RunManifest) -> None:
    places = {f"{end}_{name}": [n + 7 * (end == "last")] for end in ("first", "last")
              for n, name in enumerate(("partition", "sequence", "row"))}  # fmt: skip
    found = shown(with_tables(plain, {place.FORM: {"cluster": [0], **places}}), 0)
    first, last = found["firing_places"].shown.first, found["firing_places"].shown.last
    assert (first.partition, first.sequence, first.row) == (0, 1, 2)
    assert (last.partition, last.sequence, last.row) == (7, 8, 9)
    wrong = {"cluster": [0], **places, "first_row": [-1]}
    assert shown(with_tables(plain, {place.FORM: wrong}), 0)["firing_places"].problem
