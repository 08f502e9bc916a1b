"""Panels of optional statistics: domains and positions, from tables that a snapshot may have."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumers.statistics import domains, peak_position
from downstream.rendering.opening import open_snapshot
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
