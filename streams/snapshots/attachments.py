"""Attachments: tables that do not come from the stream, beside the snapshot they belong to.

Logit lenses, labels, scores, comparisons are made from a finished snapshot or from weights. They
belong to it by its content hash and leave that as it is. Each has a manifest of its own in a folder
that readers list, ``<run>/attachments/<content>/<kind>/<name>/``. The same kind and name made again
takes the place of the one before; another name stands beside it.
"""

import posixpath
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any

import pyarrow as pa
from annotated_types import MaxLen
from pydantic import TypeAdapter, ValidationError

from streams.bounds import FieldRule, Label, Text
from streams.errors import SnapshotError
from streams.names import Name, is_name
from streams.snapshots.content import content_of, table_hash
from streams.snapshots.manifests import MAX_MANIFEST_BYTES, RunManifest
from streams.snapshots.store import Store, write_file, write_part
from streams.snapshots.table_entry import Hash, PartFile, TableEntry, table_entry
from streams.snapshots.tables import TableForm
from streams.strict_json import JsonError, parse_json

VERSION = 2
FOLDER = "attachments"
DEFAULT = "default"
_MANIFEST = "manifest.json"


def _is_provenance(value: Mapping[str, Any]) -> bool:
    return len(value) <= 256 and all(len(key) <= 200 for key in value)


@dataclass(frozen=True, slots=True)
class AttachmentManifest:
    """What an attachment holds and where it is from.

    kind, name: what it is, and which of that kind. content: that of the snapshot it belongs to.
    hash: over the hashes of its tables. created: ISO 8601, UTC. provenance: what made it, of which
    version, from what, with which parameters; for people. tables, files: as in a run manifest.
    """

    version: int
    run: Name
    run_id: Label
    identity: Label
    content: Hash
    kind: Name
    name: Name
    created: Label
    provenance: Annotated[dict[str, Any], FieldRule(_is_provenance, "no provenance")]
    store: Text
    hash: Hash
    tables: Annotated[tuple[TableEntry, ...], MaxLen(64)]
    files: Annotated[tuple[PartFile, ...], MaxLen(4096)] = ()


def make_attachment(
    snapshot: RunManifest,
    kind: str,
    tables: Mapping[TableForm, pa.Table],
    *,
    created: str,
    provenance: Mapping[str, Any],
    name: str = DEFAULT,
) -> AttachmentManifest:
    """Return the manifest of an attachment to a finished snapshot, without its files.

    tables: in the order of their keys, of exactly the forms' columns. created: ISO 8601, UTC.
    Raises SnapshotError for a snapshot that is not final, a table that the snapshot has, or other
    columns.
    """
    if not snapshot.final:
        raise SnapshotError(f"snapshot {snapshot.snapshot!r} is not final: attach to a final one")
    for word in (kind, name):
        if not is_name(word):
            raise SnapshotError(f"an attachment cannot be named {word!r}")
    taken = {entry.name for entry in snapshot.tables}
    entries = []
    for form, table in tables.items():
        if form.name in taken:
            raise SnapshotError(f"the snapshot has a table {form.name!r} of its own")
        if not table.schema.equals(form.schema):
            raise SnapshotError(
                f"the table {form.name!r} of {kind} has other columns than its form"
            )
        entries.append(table_entry(form, table_hash(form.schema, [table]), content=False))
    return AttachmentManifest(
        version=VERSION,
        run=snapshot.run,
        run_id=snapshot.run_id,
        identity=snapshot.identity,
        content=snapshot.content,
        kind=kind,
        name=name,
        created=created,
        provenance=dict(provenance),
        store=snapshot.store,
        hash=content_of({entry.name: entry.hash for entry in entries}),
        tables=tuple(entries),
    )


def write_attachment(
    store: Store, made: AttachmentManifest, tables: Mapping[TableForm, pa.Table]
) -> AttachmentManifest:
    """Write the tables and then the manifest of an attachment; return it with its files.

    Whatever had its kind and name before is gone then: readers see the one or the other.
    """
    folder = folder_of(made.content, made.kind, made.name)
    files = tuple(
        write_part(store, made.run, form.name, 0, table, schema=form.schema, folder=folder)
        for form, table in tables.items()
    )
    whole = replace(made, store=store.address, files=files)
    before = _read(store, store.path(made.run, folder, _MANIFEST))
    write_file(store, store.path(made.run, folder, _MANIFEST), to_json(whole))
    for part in before.files if before else ():
        if part.path not in {file.path for file in files}:
            with suppress(OSError):
                store.files.rm_file(store.path(made.run, part.path))
    return whole


def list_attachments(store: Store, run: str, content: str) -> tuple[AttachmentManifest, ...]:
    """Return the attachments of a snapshot, by kind and name; what cannot be read is passed over.

    Raises SnapshotError if the folder cannot be listed.
    """
    folder = store.path(run, FOLDER, content)
    found = []
    for kind in _folders(store, folder):
        for name in _folders(store, posixpath.join(folder, kind)):
            read = _read(store, posixpath.join(folder, kind, name, _MANIFEST))
            if read and (read.run, read.content, read.kind, read.name) == (
                run,
                content,
                kind,
                name,
            ):
                found.append(replace(read, store=store.address))
    return tuple(found)


def folder_of(content: str, kind: str, name: str) -> str:
    """Return the folder of an attachment, relative to the run's."""
    return posixpath.join(FOLDER, content, kind, name)


def to_json(manifest: AttachmentManifest) -> bytes:
    """Return a manifest as JSON."""
    return _adapter().dump_json(manifest, indent=1)


def attachment_manifest(data: bytes) -> AttachmentManifest:
    """Return the manifest that ``data`` holds; raises SnapshotError for anything else."""
    try:
        parse_json(data, MAX_MANIFEST_BYTES)
        found = _adapter().validate_json(data, strict=True)
    except JsonError as error:
        raise SnapshotError(f"unreadable manifest of an attachment: it {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]["msg"]
        raise SnapshotError(f"unreadable manifest of an attachment: {first}") from error
    if found.version != VERSION:
        raise SnapshotError(
            f"an attachment of version {found.version}, this program reads {VERSION}: make it again"
        )
    return found


def _read(store: Store, path: str) -> AttachmentManifest | None:
    try:
        return attachment_manifest(store.files.cat_file(path))
    except (OSError, SnapshotError):
        return None


def _folders(store: Store, path: str) -> list[str]:
    try:
        store.files.invalidate_cache()
        entries = store.files.ls(path, detail=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {error.strerror or error}") from error
    names = (e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "directory")
    return sorted(name for name in names if is_name(name))


@cache
def _adapter() -> TypeAdapter[AttachmentManifest]:
    return TypeAdapter(AttachmentManifest)
