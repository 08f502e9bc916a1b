"""The hashes of a snapshot's tables, computed from its files."""

from dataclasses import replace
from itertools import chain

from streams.errors import SnapshotError
from streams.snapshots.content import content_of, table_hash
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_entry import TableEntry
from streams.snapshots.table_reading import TableManifest, expected_schema, read_pieces


def hashed_tables(manifest: TableManifest, *, check: bool = False) -> tuple[TableEntry, ...]:
    """Return the tables that a manifest lists with the rows and hashes that their files hold.

    check: compare each file with its checksum first. Raises SnapshotError if a file is missing or
    damaged, or has other columns.
    """
    found = []
    for entry in manifest.tables:
        pieces = chain.from_iterable(read_pieces(manifest, entry.name, check=check))
        hashed = table_hash(expected_schema(manifest, entry.name), pieces)
        found.append(replace(entry, rows=hashed.rows, hash=hashed.hash))
    return tuple(found)


def verify(manifest: RunManifest) -> str:
    """Return the content hash of a snapshot, computed from its files, whose checksums are compared.

    Raises SnapshotError if a file, a table or the content is not what the manifest says.
    """
    found = hashed_tables(manifest, check=True)
    for listed, holds in zip(manifest.tables, found, strict=True):
        if listed != holds:
            raise SnapshotError(
                f"the manifest names hash {listed.hash} of the table {listed.name!r} of "
                f"{listed.rows} rows, its files hold {holds.hash} of {holds.rows}"
            )
    content = content_of({table.name: table.hash for table in found if table.content})
    if content != manifest.content:
        raise SnapshotError(f"the manifest names content {manifest.content}, files hold {content}")
    return content
