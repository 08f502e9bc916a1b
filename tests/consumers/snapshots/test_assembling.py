"""Snapshots put together from the parts of several shards: each row of a table stands once."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import duckdb
import pytest

from consumers.plan import Plan, make_plan
from consumers.snapshots.assembly import Assembly, assemble_ready
from consumers.snapshots.snapshots import final_manifest, write_shard
from streams.records.partials import BucketState
from streams.snapshots.content import content_hash
from streams.snapshots.manifests import FINAL, RunManifest
from streams.snapshots.table_hashes import verify
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import TABLES
from streams.transport.client import Client
from streams.transport.connect import connect
from tests import factories
from tests.consumers.folding import folded_states
from tests.published import publish

BATCHES = factories.batches(per_partition=6)


@pytest.fixture
def client() -> Client:
    """A broker of its own."""
    return connect("memory://assembling")


@pytest.fixture
def plan(tmp_path: Path, client: Client) -> Plan:
    """The plan of a published run of three shards; its name is the test's own."""
    name = tmp_path.name.replace("_", "-")[:40]
    record = factories.run_record(name=name, corpus=f"{name}-text", store=str(tmp_path))
    publish(client, record, [replace(batch, corpus=record.corpus) for batch in BATCHES])
    return make_plan(record)


def shards(plan: Plan, count: int = len(BATCHES)) -> dict[int, list[BucketState]]:
    """Return the states of each shard after some batches."""
    states = folded_states(plan, factories.DenseEngine(plan), BATCHES[:count])
    return {shard: list(group) for shard, group in groupby(states, lambda state: state.shard)}


def assembled(plan: Plan, client: Client, snapshot: str, states: dict[int, list[BucketState]]):
    """Write the parts of all shards and return the manifest."""
    for shard, given in states.items():
        write_shard(plan, snapshot, shard, given, client)
    found = assemble_ready(plan, client, 1.0)
    (made,) = found.made
    assert not found.waiting
    return made


def files(manifest: RunManifest, table: str) -> str:
    """Return a table's files as DuckDB reads them."""
    place = Path(manifest.store) / manifest.run
    return f"read_parquet({[str(place / f.path) for f in manifest.files if f.table == table]})"


def count(query: str) -> int:
    """Return the one number that a query gives."""
    return duckdb.sql(query).fetchall()[0][0]


def test_the_join_of_hits_and_samples_has_a_row_per_hit(plan: Plan, client: Client) -> None:
    manifest = assembled(plan, client, FINAL, shards(plan))
    hits, samples = files(manifest, "hits"), files(manifest, "samples")
    by_shard = hits.replace("])", "], filename = true)")
    places = f"select distinct filename, partition, sequence, row from {by_shard}"
    assert count(f"select count(*) from ({places})") > count(f"select count(*) from {samples}") > 0
    joined = f"from {hits} h join {samples} s using (partition, sequence, row)"
    assert count(f"select count(*) {joined}") == count(f"select count(*) from {hits}") > 0
    assert count(f"select count(*) {joined} where h.sample = s.sample") == len(
        read_table(manifest, "hits")
    )


@pytest.mark.parametrize("name", [n for n, form in TABLES.items() if form.key])
def test_a_row_of_any_table_stands_once_in_all_its_files(
    name: str, plan: Plan, client: Client
) -> None:
    manifest = assembled(plan, client, FINAL, shards(plan))
    key, rows = ", ".join(TABLES[name].key), files(manifest, name)
    assert count(f"select count(*) from {rows}") > 0
    repeated = f"select 1 from {rows} group by {key} having count(*) > 1"
    assert count(f"select count(*) from ({repeated})") == 0


def test_a_part_that_is_written_again_changes_nothing(plan: Plan, client: Client) -> None:
    states = shards(plan)
    first = assembled(plan, client, FINAL, states)
    for shard in (2, 0, 2):
        write_shard(plan, FINAL, shard, states[shard], client)
    assert assemble_ready(plan, client, 1.0) == Assembly()
    assert final_manifest(client, plan) == first


def test_a_snapshot_in_mid_run_has_the_samples_of_its_own_parts(plan: Plan, client: Client) -> None:
    """Shards stand at different batches there; and one writes its part again, further on."""
    early, late = shards(plan, 3), shards(plan, 9)
    write_shard(plan, "noon", 1, early[1], client)
    made = assembled(plan, client, "noon", {0: early[0], 1: late[1], 2: late[2]})
    places = {
        tuple(row.values())
        for row in read_table(made, "hits", columns=["partition", "sequence", "row"]).to_pylist()
    }
    samples = read_table(made, "samples", columns=["partition", "sequence", "row"]).to_pylist()
    assert [tuple(row.values()) for row in samples] == sorted(places)


def test_the_content_is_that_of_the_rows_however_many_shards(plan: Plan, client: Client) -> None:
    manifest = assembled(plan, client, FINAL, shards(plan))
    tables = {name: read_table(manifest, name) for name in TABLES}
    assert manifest.content == content_hash(tables) == verify(manifest)


def test_another_table_leaves_the_content_as_it_is(plan: Plan, client: Client) -> None:
    manifest = assembled(plan, client, FINAL, shards(plan))
    totals = manifest.table("totals")
    assert totals is not None
    more = replace(totals, name="seconds", content=False)
    copies = [replace(f, table="seconds") for f in manifest.files if f.table == "totals"]
    grown = replace(manifest, tables=(*manifest.tables, more), files=(*manifest.files, *copies))
    assert verify(grown) == manifest.content
