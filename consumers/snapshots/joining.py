"""From the parts of all shards to one snapshot: samples, hashes, and the run manifest."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from consumers.plan import Plan
from consumers.snapshots.places import PLACE, distinct_places
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
    samples = _write_samples(plan, parts, client)
    try:
        return _with_hashes(replace(parts, files=(*parts.files, samples)))
    except DamagedPartError as error:
        if error.path == samples.path:
            # No shard's: it was written a moment ago.
            raise StoreError(str(error)) from error
        raise


def _write_samples(plan: Plan, parts: RunManifest, client: Client) -> PartFile:
    """Write the samples at the places that the hits of all parts name, each once."""
    hits = chain.from_iterable(read_pieces(parts, HITS.name, columns=PLACE, check=True))
    samples = sample_tables(client, plan.run.corpus, *distinct_places(hits))
    return write_part(open_store(plan.run.store), plan.run.name, SAMPLES.name, 0, samples)


def _with_hashes(manifest: RunManifest) -> RunManifest:
    """Return a manifest with what its files hold: rows and hash of each table, and the content."""
    tables = hashed_tables(manifest, check=True)
    content = content_of({t.name: t.hash for t in tables if t.content})
    return replace(manifest, tables=tables, content=content)
