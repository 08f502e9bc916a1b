"""The manifests that make a set of files a snapshot: one per shard while it is made, one per run.

A snapshot is a set of Parquet files, named after their content, and a run manifest that lists its
tables (``snapshot_tables``) and files. Readers only ever follow a run manifest.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streams.errors import SnapshotError
from streams.failed_manifest import FailedManifest, failed_json, find_failed
from streams.table_entry import PartFile, TableEntry, find_entry

FINAL = "final"
"""The name of a run's last snapshot, which no other may have."""

VERSION = 2


@dataclass(frozen=True, slots=True)
class ShardManifest:
    """One shard's part: its files, and the last sequence per source partition that it stands at."""

    version: int
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

    final: every shard has seen the whole corpus. content: the hash over those of the tables that
    the run's record names, see content.py. chains: per shard. tables and files: what there is.
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
    tables: tuple[TableEntry, ...]
    files: tuple[PartFile, ...]
    about: dict[str, Any]
    dead_letters: tuple[RefusedRecord, ...] = ()
    excess_refusals: str = ""
    warnings: tuple[str, ...] = ()

    def table(self, name: str) -> TableEntry | None:
        """Return how a table is listed, None for one that the snapshot does not have."""
        return find_entry(self.tables, name)


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
    _expect_version(data)
    try:
        return _shard_adapter().validate_json(data)
    except ValidationError as error:
        raise SnapshotError(f"unreadable shard manifest: {error.errors()[0]['msg']}") from error


def run_manifest(data: bytes) -> RunManifest:
    """Return the run manifest that ``data`` holds, or raise SnapshotError.

    Raises SnapshotFailedError if it is a failed manifest.
    """
    _expect_version(data)
    try:
        return _run_adapter().validate_json(data)
    except ValidationError as error:
        if failed := find_failed(data):
            raise failed.error from None
        raise SnapshotError(f"unreadable run manifest: {error.errors()[0]['msg']}") from error


def _expect_version(data: bytes) -> None:
    """Raise SnapshotError if these are the bytes of a manifest of another version."""
    try:
        version = _version_adapter().validate_json(data).version
    except ValidationError:
        return  # whoever reads on says what is wrong with it
    if version < VERSION:
        raise SnapshotError(
            f"the snapshot was written by an earlier form of Millrace (version {version}); "
            "make the run again"
        )
    if version > VERSION:
        raise SnapshotError(
            f"the snapshot has version {version}, this program reads version {VERSION}; "
            "take a newer Millrace"
        )


@dataclass(frozen=True, slots=True)
class _Versioned:
    version: int


@cache
def _version_adapter() -> TypeAdapter[_Versioned]:
    return TypeAdapter(_Versioned)
