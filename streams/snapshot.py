"""The form of dashboard data: its tables, and the manifests that make a set of files a snapshot.

A snapshot is a set of Parquet files, one per table and shard, named after their content, and a run
manifest that lists them. Readers only ever follow a run manifest. Cluster numbers count through all
clusterings of a run; member numbers count in a cluster's ``members``.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from streams.errors import SnapshotError
from streams.failed_manifest import FailedManifest, failed_json, find_failed

FINAL = "final"
"""The name of a run's last snapshot, which no other may have."""

VERSION = 1

CLUSTERS = pa.schema(
    [
        ("cluster", pa.int32()),
        ("clustering", pa.string()),
        ("iteration", pa.int32()),
        ("label", pa.string()),
        ("members", pa.list_(pa.string())),
        ("dropped", pa.list_(pa.string())),
        ("firing_tokens", pa.int64()),
        ("firing_rows", pa.int64()),
        ("sum", pa.int64()),
        ("low", pa.float32()),
        ("high", pa.float32()),
        ("histogram", pa.list_(pa.int64())),
        ("coactivation_counted", pa.bool_()),
        ("pairs_counted", pa.bool_()),
    ]
)
"""One row per cluster. sum: fixed point, in units of 2**-sum_bits. low, high: smallest and largest
firing activity, 0 where nothing fired. histogram: firing tokens per bin, first bin below the first
edge. members are the live components."""

HITS = pa.schema(
    [
        ("cluster", pa.int32()),
        ("criterion", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("sample", pa.binary(16)),
        ("peak", pa.int32()),
        ("partition", pa.int32()),
        ("sequence", pa.int64()),
        ("row", pa.int32()),
        ("positions", pa.list_(pa.int32())),
        ("activity", pa.list_(pa.float32())),
        ("member", pa.list_(pa.int32())),
        ("member_position", pa.list_(pa.int32())),
        ("member_value", pa.list_(pa.float32())),
    ]
)
"""One row per cluster, criterion and rank (0 is best). positions and activity: where the cluster
fires and how strongly. member, member_position, member_value: members' signed non-zero values."""

SAMPLES = pa.schema(
    [
        ("partition", pa.int32()),
        ("sequence", pa.int64()),
        ("row", pa.int32()),
        ("sample", pa.binary(16)),
        ("document", pa.string()),
        ("domain", pa.string()),
        ("ids", pa.list_(pa.int32())),
    ]
)
"""One row per place that some hit names; ids up to the last token that is no padding."""

COACTIVATION = pa.schema([("a", pa.int32()), ("b", pa.int32()), ("tokens", pa.int64())])
"""Pairs a < b of clusters of one clustering, and the tokens at which both fire; zeros left out."""

MEMBER_COACTIVATION = pa.schema(
    [("cluster", pa.int32()), ("a", pa.int32()), ("b", pa.int32()), ("tokens", pa.int64())]
)
"""Pairs a <= b of members of one cluster and the tokens at which both fire; zeros left out."""

COMPONENTS = pa.schema(
    [
        ("component", pa.int32()),
        ("source", pa.string()),
        ("index", pa.int32()),
        ("firing_tokens", pa.int64()),
        ("dead", pa.bool_()),
        ("dropped", pa.bool_()),
    ]
)
"""One row per component. dead: it fired at no valid token. dropped: the settings left it out."""

TOTALS = pa.schema(
    [
        ("tokens", pa.int64()),
        ("rows", pa.int64()),
        ("batches", pa.int64()),
        ("refused", pa.int64()),
    ]
)
"""One row: valid tokens, rows with one, batches applied or refused, and refused ones."""

VOCABULARY = pa.schema([("id", pa.int32()), ("token", pa.binary())])
"""The bytes that each token id stands for."""

TABLES: dict[str, pa.Schema] = {
    "clusters": CLUSTERS,
    "hits": HITS,
    "samples": SAMPLES,
    "coactivation": COACTIVATION,
    "member_coactivation": MEMBER_COACTIVATION,
    "components": COMPONENTS,
    "totals": TOTALS,
    "vocabulary": VOCABULARY,
}


@dataclass(frozen=True, slots=True)
class PartFile:
    """A Parquet file of a snapshot; ``path`` is relative to the run's folder in the store."""

    table: str
    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardManifest:
    """One shard's part: its files, and the last sequence per source partition that it stands at."""

    run: str
    run_id: str
    snapshot: str
    shard: int
    complete: bool
    chain: tuple[int, ...]
    tokens: int
    rows: int
    refused: int
    files: tuple[PartFile, ...]


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that was refused and became a dead letter: where it stands, and why."""

    topic: str
    partition: int
    offset: int
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class RunManifest:
    """What makes a set of files a snapshot; written last.

    final: every shard has seen the whole corpus. content: see content.py. chains: per shard.
    about: the run record for people (model, sources, clusterings, criteria, k, edges, sum_bits,
    context, corpus). created: ISO 8601, UTC. dead_letters: what the run refused so far, each place
    once, by place. excess_refusals: of a final snapshot, why whoever waited for it ends with status
    1: more batches were refused than the limits allow; else empty. warnings: those of
    the run record.
    """

    version: int
    run: str
    run_id: str
    snapshot: str
    final: bool
    content: str
    created: str
    store: str
    chains: tuple[tuple[int, ...], ...]
    files: tuple[PartFile, ...]
    about: dict[str, Any]
    dead_letters: tuple[RefusedRecord, ...] = ()
    excess_refusals: str = ""
    warnings: tuple[str, ...] = ()


@cache
def _shard_adapter() -> TypeAdapter[ShardManifest]:
    """Return what reads and writes shard manifests; it takes milliseconds to build."""
    return TypeAdapter(ShardManifest)


@cache
def _run_adapter() -> TypeAdapter[RunManifest]:
    return TypeAdapter(RunManifest)


def to_json(manifest: ShardManifest | RunManifest | FailedManifest) -> bytes:
    """Return a manifest as JSON."""
    if isinstance(manifest, FailedManifest):
        return failed_json(manifest)
    if isinstance(manifest, ShardManifest):
        return _shard_adapter().dump_json(manifest, indent=1)
    return _run_adapter().dump_json(manifest, indent=1)


def shard_manifest(data: bytes) -> ShardManifest:
    """Return the shard manifest that ``data`` holds, or raise SnapshotError."""
    try:
        return _shard_adapter().validate_json(data)
    except ValidationError as error:
        raise SnapshotError(f"unreadable shard manifest: {error.errors()[0]['msg']}") from error


def run_manifest(data: bytes) -> RunManifest:
    """Return the run manifest that ``data`` holds, or raise SnapshotError.

    Raises SnapshotFailedError if it is a failed manifest.
    """
    try:
        manifest = _run_adapter().validate_json(data)
    except ValidationError as error:
        if failed := find_failed(data):
            raise failed.error from None
        raise SnapshotError(f"unreadable run manifest: {error.errors()[0]['msg']}") from error
    if manifest.version > VERSION:
        raise SnapshotError(
            f"the snapshot has version {manifest.version}, this program reads up to {VERSION}"
        )
    return manifest
