"""The manifests that make a set of files a snapshot: one per shard while it is made, one per run.

A snapshot is a set of Parquet files, named after their content, and a run manifest that lists its
tables (``snapshot_tables``) and files. Readers only ever follow a run manifest.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar

from annotated_types import Interval, MaxLen
from pydantic import TypeAdapter, ValidationError

from streams import bounds
from streams.bounds import FieldRule
from streams.errors import SnapshotError
from streams.names import Name
from streams.snapshots.about import is_about
from streams.snapshots.failed_manifest import FailedManifest, failed_json, find_failed
from streams.snapshots.table_entry import Hash, PartFile, TableEntry, find_entry
from streams.strict_json import JsonError, parse_json

T = TypeVar("T")

FINAL = "final"
"""The name of a run's last snapshot, which no other may have."""

VERSION = 2

MAX_MANIFEST_BYTES = 32 * 2**20
"""The largest manifest that is read; no record of the snapshots topic is larger either."""

_Version = Annotated[int, Interval(ge=1, lt=2**31)]
_Chain = Annotated[tuple[Annotated[int, Interval(ge=-1, lt=2**63)], ...], MaxLen(4096)]
_Files = Annotated[tuple[PartFile, ...], MaxLen(2**16)]


@dataclass(frozen=True, slots=True)
class ShardManifest:
    """One shard's part: its files, and the last sequence per source partition that it stands at."""

    version: _Version
    run: Name
    run_id: bounds.Label
    snapshot: Name
    shard: Annotated[int, Interval(ge=0, lt=4096)]
    complete: bool
    chain: _Chain
    tokens: bounds.Count
    rows: bounds.Count
    refused: bounds.Count
    files: _Files


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

    run_id and identity: hashes of the run's record, see run_identity.py; people compare identities.
    final: every shard has seen the whole corpus. content: the hash over those of the tables that
    the run's record names, see content.py. chains: per shard. tables and files: what there is.
    about: the run record for people (model, sources, clusterings, rankings, k, edges, sum_bits,
    context, corpus). created: ISO 8601, UTC. dead_letters: what the run refused so far, each place
    once, by place. excess_refusals: of a final snapshot, why whoever waited for it ends with status
    1: more batches were refused than the limits allow; else empty. warnings: those of
    the run record.
    """

    version: _Version
    run: Name
    run_id: bounds.Label
    identity: bounds.Label
    snapshot: Name
    final: bool
    content: Hash
    created: bounds.Label
    store: bounds.Text
    chains: Annotated[tuple[_Chain, ...], MaxLen(4096)]
    tables: Annotated[tuple[TableEntry, ...], MaxLen(256)]
    files: _Files
    about: Annotated[dict[str, Any], FieldRule(is_about, "no description of a run")]
    dead_letters: tuple[RefusedRecord, ...] = ()
    excess_refusals: bounds.Text = ""
    warnings: Annotated[tuple[bounds.Text, ...], MaxLen(1024)] = ()

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
    return _read(data, "shard", _shard_adapter())


def run_manifest(data: bytes) -> RunManifest:
    """Return the run manifest that ``data`` holds, or raise SnapshotError.

    Raises SnapshotFailedError if it is a failed manifest.
    """
    _expect_version(data)
    try:
        return _read(data, "run", _run_adapter())
    except SnapshotError:
        if failed := find_failed(data):
            raise failed.error from None
        raise


def _read(data: bytes, kind: str, adapter: TypeAdapter[T]) -> T:
    try:
        parse_json(data, MAX_MANIFEST_BYTES)
        return adapter.validate_json(data, strict=True)
    except JsonError as error:
        raise SnapshotError(f"unreadable {kind} manifest: it {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = f"{where[:100]}: {first['msg']}" if where else first["msg"]
        raise SnapshotError(f"unreadable {kind} manifest: {said}") from error


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
