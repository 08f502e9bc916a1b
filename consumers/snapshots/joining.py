"""From the parts of all shards to one snapshot: samples, hashes, and the run manifest."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from consumers.plan import Plan
from consumers.snapshots.places import PLACE, distinct_places, merged_places
from consumers.snapshots.sample_reading import sample_tables
from consumers.snapshots.snapshots import about
from streams.errors import DamagedPartError, StoreError
from streams.records.run_identity import identity
from streams.snapshots.content import Hashed, content_of
from streams.snapshots.manifests import VERSION, RefusedRecord, RunManifest, ShardManifest
from streams.snapshots.store import open_store, write_part
from streams.snapshots.table_entry import PartFile, table_entry
from streams.snapshots.table_hashes import hashed_tables
from streams.snapshots.table_reading import read_pieces
from streams.snapshots.tables import HITS, SAMPLES
from streams.transport.client import Client

_MOST_THREADS = 4


def joined(
    plan: Plan,
    shards: Sequence[ShardManifest],
    refused: tuple[RefusedRecord, ...],
    client: Client,
    excess: str = "",
) -> RunManifest:
    """Write the samples and return the run manifest over all shards' parts, published nowhere.

    What the samples are follows from the parts that the manifest lists, so that they fit each other
    whichever worker wrote these, when, and how often. excess: its ``excess_refusals``. Raises
    DamagedPartError if a file of a part is missing or is not what was written, LostBatchError if
    the corpus no longer holds a sample, and StoreError if the store cannot be used.
    """
    parts = RunManifest(
        version=VERSION,
        run=plan.run.name,
        run_id=plan.id,
        identity=identity(plan.run),
        snapshot=shards[0].snapshot,
        final=all(shard.complete for shard in shards),
        content="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        store=plan.run.store,
        chains=tuple(shard.chain for shard in shards),
        tables=tuple(
            table_entry(form, Hashed(0, ""), content=True) for form in plan.forms.values()
        ),
        files=tuple(file for shard in shards for file in shard.files),
        about=about(plan),
        dead_letters=refused,
        excess_refusals=excess,
        warnings=plan.run.warnings,
    )
    of_shards = replace(parts, tables=tuple(t for t in parts.tables if t.name != SAMPLES.name))
    with ThreadPoolExecutor(1) as beside:  # reading the corpus and hashing hardly meet
        hashing = beside.submit(hashed_tables, of_shards, check=True)
        samples = _write_samples(plan, parts, client)
        hashed = {entry.name: entry for entry in hashing.result()}
    whole = replace(parts, files=(*parts.files, samples))
    of_samples = replace(whole, tables=tuple(t for t in whole.tables if t.name == SAMPLES.name))
    try:
        hashed |= {entry.name: entry for entry in hashed_tables(of_samples, check=True)}
    except DamagedPartError as error:
        # No shard's: it was written a moment ago.
        raise StoreError(str(error)) from error
    tables = tuple(hashed[entry.name] for entry in whole.tables)
    content = content_of({t.name: t.hash for t in tables if t.content})
    return replace(whole, tables=tables, content=content)


def _write_samples(plan: Plan, parts: RunManifest, client: Client) -> PartFile:
    """Write the samples at the places that the hits of all parts name, each once."""
    files = read_pieces(parts, HITS.name, columns=PLACE, check=True)
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        places = merged_places(list(pool.map(distinct_places, files)))
    samples = sample_tables(client, plan.run.corpus, *places)
    return write_part(open_store(plan.run.store), plan.run.name, SAMPLES.name, 0, samples)
