"""The program and its settings, the only package that knows both ends; and ``open``, to read."""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from downstream.reading.snapshot import Snapshot

__all__ = ["open"]


def open(
    address: "str | PathLike[str]", run: str | None = None, snapshot: str | None = None
) -> "Snapshot":
    """Return a snapshot to read from: tables, features, clusters, max-activating examples.

    address: folder or fsspec address of a store, of a run in it, or of a snapshot. run: needed
    where a store holds several. snapshot: by default ``final``. Nothing but the manifest is read
    yet. Raises SnapshotError, which names what there is.
    """
    from downstream.reading.snapshot import open_snapshot

    return open_snapshot(address, run, snapshot)
