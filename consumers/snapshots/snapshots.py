"""Writing snapshots: a shard's parts and manifest, then the run manifest over all shards."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from consumers.aggregation.shards import is_complete
from consumers.plan import Plan
from consumers.snapshots import tables
from streams import topics
from streams.catalog.corpora import get_vocabulary
from streams.catalog.followed_topic import FollowedTopic
from streams.errors import (
    SettingsError,
    SnapshotError,
    SnapshotFailedError,
)
from streams.names import check_name
from streams.record_headers import headers_of
from streams.records.measures import parameters_of
from streams.records.partials import BucketState, SnapshotRequest
from streams.records.run_identity import identity, run_id
from streams.records.runs import RunRecord
from streams.snapshots.content import content_of, table_hash
from streams.snapshots.failed_manifest import find_failed
from streams.snapshots.manifests import (
    FINAL,
    VERSION,
    RunManifest,
    ShardManifest,
    run_manifest,
    to_json,
)
from streams.snapshots.store import open_store, write_manifest, write_part
from streams.snapshots.table_entry import table_entry
from streams.transport.client import Client
from streams.wire import codec


def shard_tables(
    plan: Plan, shard: int, states: Sequence[BucketState], client: Client
) -> Iterator[tuple[str, pa.Table | Iterator[pa.Table]]]:
    """Yield the tables of one shard by name, the large ones in pieces that are made when asked for.

    Shard 0 adds the totals and the vocabulary. Samples, which shards share, come when the snapshot
    is put together.
    """
    yield from tables.statistics_tables(plan, states)
    yield "hits", tables.hits_tables(plan, states)
    if shard == 0:
        yield "totals", tables.totals_table(states[0])
        vocabulary = get_vocabulary(client, plan.run.corpus)
        yield "vocabulary", tables.vocabulary_table(vocabulary.tokens, vocabulary.forms)


def write_shard(
    plan: Plan, snapshot: str, shard: int, states: Sequence[BucketState], client: Client
) -> ShardManifest:
    """Write a shard's parts and publish its manifest; doing it again changes nothing."""
    store, forms = open_store(plan.run.store), plan.forms
    files = tuple(
        write_part(store, plan.run.name, name, shard, table, schema=forms[name].schema)
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
    headers = headers_of(topics.SNAPSHOT_REQUEST, 0)
    with client.sender() as sender:
        for shard in range(run.shards):
            value = codec.encode(SnapshotRequest(run_id(run), shard, snapshot))
            sender.send(topic, shard, value, headers=headers)
        sender.flush()


def manifests_of(run: str) -> FollowedTopic:
    """Return what keeps up with a run's manifests on the snapshots topic."""
    return FollowedTopic(topics.SNAPSHOTS.name, lambda key: key.startswith(f"{run}/".encode()))


def published(
    client: Client, run: str, followed: FollowedTopic | None = None
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
    client: Client, plan: Plan, followed: FollowedTopic | None = None
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


def is_settled(plan: Plan, snapshot: str, entries: Mapping[str, bytes]) -> bool:
    """Return whether a snapshot is there or was given up, from what is published for it."""
    try:
        return assembled(plan, snapshot, entries) is not None
    except SnapshotFailedError:
        return True


def write_plain(
    plan: Plan, found: Mapping[str, pa.Table], snapshot: str, store_address: str
) -> RunManifest:
    """Write tables that were computed in one process as a snapshot of its own, unpublished."""
    store, forms = open_store(store_address), plan.forms
    files = tuple(
        write_part(store, plan.run.name, name, 0, found[name], schema=form.schema)
        for name, form in forms.items()
    )
    hashed = {name: table_hash(form.schema, [found[name]]) for name, form in forms.items()}
    manifest = RunManifest(
        version=VERSION,
        run=plan.run.name,
        run_id=plan.id,
        identity=identity(plan.run),
        snapshot=snapshot,
        final=True,
        content=content_of({name: each.hash for name, each in hashed.items()}),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        store=store_address,
        chains=(),
        tables=tuple(table_entry(forms[n], each, content=True) for n, each in hashed.items()),
        files=files,
        about=about(plan),
        warnings=plan.run.warnings,
    )
    write_manifest(store, manifest)
    return manifest


def about(plan: Plan) -> dict[str, Any]:
    """Return what people want to know of a run beside its numbers."""
    run = plan.run
    return {
        "model": run.model.location,
        "model_content": run.model.content,
        "dtype": run.model.dtype,
        "tf32": run.model.tf32,
        "micro_batch": run.model.micro_batch,
        "forward": run.model.forward,
        "vocabulary": run.model.vocabulary,
        "corpus": run.corpus,
        "context": run.context,
        "statistics": {m.name: dict(parameters_of(m)) for m in run.statistics},
        "rankings": {
            m.name: {**parameters_of(m), "meaning": given.ranking.meaning}
            for m, given in zip(run.rankings, plan.rankings, strict=True)
        },
        "k": run.k,
        "edges": run.edges.tolist(),
        "sum_bits": run.sum_bits,
        **({"keep": run.keep} if run.keep != "nothing" else {}),
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
