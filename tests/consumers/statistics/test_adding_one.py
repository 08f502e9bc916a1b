"""A statistic from a file of its own: its table is in a snapshot, and is the oracle's."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from consumers.oracle.oracle_run import oracle_tables
from consumers.plan import make_plan
from consumers.snapshots.assembly import assemble_ready
from consumers.snapshots.snapshots import write_shard
from consumers.statistics.registry import STATISTICS
from downstream.reading.snapshot import Snapshot
from streams.errors import RunError
from streams.records.measures import measure
from streams.snapshots.content import content_hash
from streams.snapshots.manifests import FINAL
from streams.transport.connect import connect
from tests import factories
from tests.consumers.folding import folded_states
from tests.consumers.statistics.strong_rows import StrongRows
from tests.published import WORDS, publish

ROOT = Path(__file__).parents[3]
KNOWN = (*STATISTICS, StrongRows())
BASE = factories.run_record()
RUN = replace(
    BASE, statistics=(*BASE.statistics, measure("strong_rows@1", threshold=1.5)), name="strong"
)


def test_its_table_is_in_a_snapshot_and_is_the_oracles(tmp_path: Path) -> None:
    run = replace(RUN, store=str(tmp_path))
    plan, client = make_plan(run, KNOWN), connect("memory://adding-one")
    batches = factories.batches()
    publish(client, run, batches)
    engine = factories.DenseEngine(plan)
    states = folded_states(plan, engine, batches)
    for shard, group in groupby(states, lambda state: state.shard):
        write_shard(plan, FINAL, shard, list(group), client)
    (manifest,) = assemble_ready(plan, client, 1.0).made
    expected = oracle_tables(plan, engine, iter(batches), WORDS)
    found = Snapshot(manifest)
    table = found.table("strong_rows")
    assert table.to_pylist() == expected["strong_rows"].to_pylist()
    assert len(table)
    assert table.about("weakest").unit == "activation"
    assert found.verify() == found.content == content_hash(expected, plan.forms)
    assert found.content != content_hash(expected)


def test_whoever_does_not_have_it_refuses_the_run_by_its_name() -> None:
    with pytest.raises(RunError, match=r"names the statistic 'strong_rows@1', this Millrace has"):
        make_plan(RUN)


def test_a_run_without_it_has_the_state_and_tables_of_before() -> None:
    plan, plain = make_plan(BASE, KNOWN), make_plan(BASE)
    assert plan.forms == plain.forms
    assert plan.layout.sum_first.tolist() == plain.layout.sum_first.tolist()


def test_the_page_shows_the_file() -> None:
    page = (ROOT / "docs" / "adding-a-statistic.md").read_text()
    assert (Path(__file__).parent / "strong_rows.py").read_text() in page
