"""Deriving an attachment and writing it beside its snapshot."""

from importlib.metadata import version

from downstream.derived.derivation import Derivation, Derived, Given, Options
from downstream.reading.snapshot import Snapshot
from streams.snapshots.attachments import (
    DEFAULT,
    AttachmentManifest,
    make_attachment,
    write_attachment,
)
from streams.snapshots.store import open_store


def attach(
    derivation: Derivation, given: Given, options: Options, *, created: str, name: str = DEFAULT
) -> tuple[AttachmentManifest, Derived]:
    """Derive a kind of attachment, write it, and return its manifest and what it was made of.

    created: ISO 8601, UTC. Raises SnapshotError for a snapshot that is not final, and whatever the
    kind raises; nothing is written then.
    """
    derived = derivation.derive(given, options)
    manifest = write_derived(derivation.kind, given.snapshot, derived, created=created, name=name)
    return manifest, derived


def write_derived(
    kind: str, snapshot: Snapshot, derived: Derived, *, created: str, name: str = DEFAULT
) -> AttachmentManifest:
    """Write derived tables as an attachment of a kind; see ``attach``."""
    said = {"program": "millrace", "program_version": version("millrace"), **derived.provenance}
    manifest = snapshot.manifest
    made = make_attachment(
        manifest, kind, derived.tables, created=created, provenance=said, name=name
    )
    return write_attachment(open_store(manifest.store), made, derived.tables)
