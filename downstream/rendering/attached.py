"""What is attached to a snapshot, listed again from time to time, since attachments come later."""

import logging

from downstream.rendering.data import LoadedSnapshot
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest, list_attachments
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store

_log = logging.getLogger(__name__)


class AttachmentList:
    """The attachments of a snapshot as they were listed last; a listing reads the store."""

    def __init__(self, manifest: RunManifest) -> None:
        self._manifest = manifest
        self._listed: tuple[AttachmentManifest, ...] | None = None

    @property
    def known(self) -> tuple[AttachmentManifest, ...]:
        """What was listed last; nothing is read."""
        return self._listed or ()

    def now(self) -> tuple[AttachmentManifest, ...]:
        """Return what was listed last, and list it if it never was."""
        if self._listed is None:
            self.list_again()
        return self.known

    def list_again(self) -> None:
        """List what is there; if the store cannot be read, what was known stays."""
        manifest = self._manifest
        try:
            store = open_store(manifest.store)
            self._listed = list_attachments(store, manifest.run, manifest.content)
        except SnapshotError as error:
            _log.error("attachments cannot be listed: run=%s %s", manifest.run, error)


def attachments_of(snapshot: LoadedSnapshot) -> AttachmentList:
    """Return the list of an open snapshot, which is kept as long as the snapshot."""
    found: AttachmentList = snapshot.once("attachments", lambda: AttachmentList(snapshot.manifest))
    return found
