"""Writing snapshots: a shard's parts and manifest, then the run manifest over all shards."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pyarrow as pa

from consumers.aggregation.shards import is_complete
from consumers.snapshots import tables
from consumers.snapshots.places import PLACE, distinct_places
from consumers.snapshots.sample_reading import sample_tables
from streams import codec, topics
from streams.catalog import get_vocabulary
from streams.content import Hashed, content_of, table_hash
from streams.deadletters import distinct, read_dead_letters
from streams.errors import (
    LostBatchError,
    LostInputError,
    SettingsError,
    SnapshotError,
    SnapshotFailedError,
)
from streams.failed_manifest import find_failed
from streams.following import Followed
from streams.names import check_name
from streams.partials import BucketState, SnapshotRequest
from streams.plan import Plan
from streams.runs import RunRecord, run_id
from streams.snapshot import (
    FINAL,
    VERSION,
    RefusedRecord,
    RunManifest,
    ShardManifest,
    run_manifest,
    shard_manifest,
    to_json,
)
from streams.snapshot_tables import HITS, SAMPLES, TABLES
from streams.store import open_store, read_pieces, write_manifest, write_part
from streams.table_entry import PartFile, table_entry
from streams.table_hashes import hashed_tables
from streams.transport.client import Client


def shard_tables(
    plan: Plan, shard: int, states: Sequence[BucketState], client: Client
) -> Iterator[tuple[str, pa.Table | Iterator[pa.Table]]]:
    """Yield the tables of one shard by name, the large ones in pieces that are made when asked for.

    Shard 0 adds the totals and the vocabulary. Samples, which shards share, come when the snapshot
    is put together.
    """
    yield "clusters", tables.clusters_table(plan, states)
    yield "hits", tables.hits_tables(plan, states)
    yield "coactivation", tables.coactivation_table(plan, states)
    yield "member_coactivation", tables.members_table(plan, states)
    yield "features", tables.features_table(plan, states)
    if shard == 0:
        yield "totals", tables.totals_table(states[0])
        vocabulary = get_vocabulary(client, plan.run.corpus)
        yield "vocabulary", tables.vocabulary_table(vocabulary.tokens)


def write_shard(
    plan: Plan, snapshot: str, shard: int, states: Sequence[BucketState], client: Client
) -> ShardManifest:
    """Write a shard's parts and publish its manifest; doing it again changes nothing."""
    store = open_store(plan.run.store)
    files = tuple(
        write_part(store, plan.run.name, name, shard, table)
        for name, table in shard_tables(plan, shard, states, client)
    )
    first = states[0]
    manifest = ShardManifest(
        version=VERSION,
        run=plan.run.name,
        run_id=plan.id,
        snapshot=snapshot,
        shard=shard,
        complete=all(is_complete(state) for state in states),
        chain=tuple(first.chain.tolist()),
        tokens=first.tokens,
        rows=first.rows,
        refused=first.refused,
        files=files,
    )
    publish(client, f"{plan.run.name}/{snapshot}/{shard}", to_json(manifest))
    return manifest


def publish(client: Client, key: str, value: bytes) -> None:
    """Put a manifest on the snapshots topic and wait until it is kept."""
    with client.sender() as sender:
        sender.send(topics.SNAPSHOTS.name, 0, value, key=key.encode())
        sender.flush()


def request_snapshot(client: Client, run: RunRecord, snapshot: str) -> None:
    """Ask every shard of a run, in the stream of its partials, for a part as it then stands.

    Raises SettingsError for a name that is not usable or is taken.
    """
    if check_name(snapshot, "snapshot") == FINAL:
        raise SettingsError(f"{FINAL} is what a run's last snapshot is called; take another --name")
    if "" in published(client, run.name).get(snapshot, {}):
        raise SettingsError(f"run {run.name} has a snapshot {snapshot}; take another --name")
    topic = topics.partials(run.name, run.shards, run.record_bytes).name
    headers = ((topics.KIND, topics.SNAPSHOT_REQUEST), (topics.SEQUENCE, b"0"))
    with client.sender() as sender:
        for shard in range(run.shards):
            value = codec.encode(SnapshotRequest(run_id(run), shard, snapshot))
            sender.send(topic, shard, value, headers=headers)
        sender.flush()


def manifests_of(run: str) -> Followed:
    """Return what keeps up with a run's manifests on the snapshots topic."""
    return Followed(topics.SNAPSHOTS.name, lambda key: key.startswith(f"{run}/".encode()))


def published(
    client: Client, run: str, followed: Followed | None = None
) -> dict[str, dict[str, bytes]]:
    """Return a run's manifests on the snapshots topic: per snapshot, "" or the shard -> JSON.

    Whoever asks again and again gives what ``manifests_of`` returned, which reads each of them
    once only.
    """
    found: dict[str, dict[str, bytes]] = {}
    for key, value in (followed or manifests_of(run)).look(client).items():
        _, _, rest = key.decode(errors="replace").partition("/")
        snapshot, _, shard = rest.partition("/")
        found.setdefault(snapshot, {})[shard] = value
    return found


def final_manifest(
    client: Client, plan: Plan, followed: Followed | None = None
) -> RunManifest | None:
    """Return the manifest of a run's final snapshot once it is there; ``published`` explains.

    Raises SnapshotFailedError once the run has failed.
    """
    return assembled(plan, FINAL, published(client, plan.run.name, followed).get(FINAL, {}))


def assembled(plan: Plan, snapshot: str, entries: Mapping[str, bytes]) -> RunManifest | None:
    """Return the run manifest among the manifests published for a snapshot, None for none or junk.

    Raises SnapshotFailedError if the snapshot was given up.
    """
    value = entries.get("", b"")
    failed = find_failed(value)
    if failed is not None and (failed.run_id, failed.snapshot) == (plan.id, snapshot):
        raise failed.error
    with suppress(SnapshotError, SnapshotFailedError):
        manifest = run_manifest(value)
        named = (manifest.run_id, manifest.snapshot) == (plan.id, snapshot)
        return manifest if named and (manifest.final or snapshot != FINAL) else None
    return None


def assemble_ready(
    plan: Plan, client: Client, followed: Followed | None = None
) -> tuple[list[RunManifest], bool]:
    """Write the run manifest of every snapshot whose shards are all there and that has none.

    Returns the manifests written, and whether some snapshot still waits for shards.
    """
    made, waiting = [], False
    for snapshot, entries in published(client, plan.run.name, followed).items():
        ours = _shards_of(entries, plan, snapshot)
        if _is_settled(plan, snapshot, entries) or not ours:
            continue
        if len(ours) == plan.run.shards:
            made.append(assemble(plan, [ours[s] for s in range(plan.run.shards)], client))
        else:
            waiting = True
    return made, waiting


def _shards_of(entries: Mapping[str, bytes], plan: Plan, snapshot: str) -> dict[int, ShardManifest]:
    """Return a snapshot's shard manifests by shard; junk on the topic is passed over."""
    found = {}
    for name, value in entries.items():
        with suppress(SnapshotError):
            manifest = shard_manifest(value)
            named = (manifest.run_id, manifest.snapshot) == (plan.id, snapshot)
            final = manifest.complete or snapshot != FINAL
            if named and name == str(manifest.shard) and final:
                found[manifest.shard] = manifest
    return {shard: m for shard, m in found.items() if 0 <= shard < plan.run.shards}


def _is_settled(plan: Plan, snapshot: str, entries: Mapping[str, bytes]) -> bool:
    """Return whether a snapshot is there or was given up."""
    try:
        return assembled(plan, snapshot, entries) is not None
    except SnapshotFailedError:
        return True


def assemble(plan: Plan, shards: Sequence[ShardManifest], client: Client) -> RunManifest:
    """Write the samples, then write and publish the run manifest over all shards' parts.

    What the samples are follows from the parts that the manifest lists, so that they fit each other
    whoever wrote these, and when, and however often. Raises LostBatchError if the corpus no longer
    holds one, or, where the whole run is at an end with that, LostInputError.
    """
    parts = RunManifest(
        version=VERSION,
        run=plan.run.name,
        run_id=plan.id,
        snapshot=shards[0].snapshot,
        final=all(shard.complete for shard in shards),
        content="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        store=plan.run.store,
        chains=tuple(shard.chain for shard in shards),
        tables=_UNREAD,
        files=tuple(file for shard in shards for file in shard.files),
        about=about(plan.run),
        dead_letters=refused_records(plan, client),
        warnings=plan.run.warnings,
    )
    try:
        samples = write_samples(plan, parts, client)
    except LostBatchError as error:
        if parts.snapshot != FINAL:
            raise
        raise LostInputError(str(error), for_good=True) from error
    return _finish(with_hashes(replace(parts, files=(*parts.files, samples))), client)


_UNREAD = tuple(table_entry(form, Hashed(0, ""), content=True) for form in TABLES.values())
"""The tables of a run, before it is known what is in them."""


def write_samples(plan: Plan, parts: RunManifest, client: Client) -> PartFile:
    """Write the samples at the places that the hits of all parts name, each once."""
    hits = chain.from_iterable(read_pieces(parts, HITS.name, columns=PLACE))
    samples = sample_tables(client, plan.run.corpus, *distinct_places(hits))
    return write_part(open_store(plan.run.store), plan.run.name, SAMPLES.name, 0, samples)


def refused_records(plan: Plan, client: Client) -> tuple[RefusedRecord, ...]:
    """Return what a run has refused so far, each original position once, in order."""
    letters = read_dead_letters(client, run=plan.run.name)
    ours = (entry.refusal for entry in distinct(r for r in letters if r.refusal.run_id == plan.id))
    found = (
        RefusedRecord(r.origin.topic, r.origin.partition, r.origin.offset, r.error, r.message)
        for r in ours
    )
    return tuple(sorted(found, key=lambda r: (r.topic, r.partition, r.offset)))


def _finish(manifest: RunManifest, client: Client) -> RunManifest:
    write_manifest(open_store(manifest.store), manifest)
    publish(client, f"{manifest.run}/{manifest.snapshot}", to_json(manifest))
    return manifest


def with_hashes(manifest: RunManifest) -> RunManifest:
    """Return a manifest with what its files hold: rows and hash of each table, and the content."""
    tables = hashed_tables(manifest)
    content = content_of({t.name: t.hash for t in tables if t.content})
    return replace(manifest, tables=tables, content=content)


def write_plain(
    plan: Plan, found: Mapping[str, pa.Table], snapshot: str, store_address: str
) -> RunManifest:
    """Write tables that were computed in one process as a snapshot of its own, unpublished."""
    store = open_store(store_address)
    files = tuple(write_part(store, plan.run.name, name, 0, found[name]) for name in TABLES)
    hashed = {name: table_hash(form.schema, [found[name]]) for name, form in TABLES.items()}
    manifest = RunManifest(
        version=VERSION,
        run=plan.run.name,
        run_id=plan.id,
        snapshot=snapshot,
        final=True,
        content=content_of({name: each.hash for name, each in hashed.items()}),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        store=store_address,
        chains=(),
        tables=tuple(table_entry(TABLES[n], each, content=True) for n, each in hashed.items()),
        files=files,
        about=about(plan.run),
        warnings=plan.run.warnings,
    )
    write_manifest(store, manifest)
    return manifest


def about(run: RunRecord) -> dict[str, Any]:
    """Return what people want to know of a run beside its numbers."""
    return {
        "model": run.model.location,
        "model_content": run.model.content,
        "dtype": run.model.dtype,
        "micro_batch": run.model.micro_batch,
        "forward": run.model.forward,
        "vocabulary": run.model.vocabulary,
        "corpus": run.corpus,
        "context": run.context,
        "criteria": list(run.criteria),
        "k": run.k,
        "edges": run.edges.tolist(),
        "sum_bits": run.sum_bits,
        "masked_ids": run.masked_ids.tolist(),
        "masked_positions": run.masked_positions.tolist(),
        "created": run.created,
        "sources": [
            {
                "name": s.name,
                "kind": s.kind,
                "location": s.location,
                "content": s.content,
                "hook": s.hook,
                "components": s.components,
                "sign": s.sign,
                "threshold": s.threshold,
            }
            for s in run.sources
        ],
        "clusterings": [
            {
                "name": c.name,
                "iteration": c.iteration,
                "clusters": len(c.labels),
                "coactivation": c.coactivation,
            }
            for c in run.clusterings
        ],
    }
