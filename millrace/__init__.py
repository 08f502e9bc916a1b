"""The program and its settings, the only package that knows both ends; what to read and ask by."""

from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consumers.asking.asker import Asker
    from downstream.reading.snapshot import Snapshot

__all__ = ["open", "open_model"]


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


def open_model(
    *,
    snapshot: "str | PathLike[str] | None" = None,
    settings: "str | PathLike[str] | None" = None,
    **options: Any,
) -> "Asker":
    """Return a model with its dictionaries, loaded, to ask about texts; see docs/asking.md.

    snapshot: folder or address of a store, a run or a snapshot, whose model is taken. settings: a
    TOML file. options: keys of settings, nested as there: ``run={"name": "essays"}`` where a store
    or a broker has several, ``model={"path": "gpt2"}``, ``dictionaries=[{"name": "sae", "path":
    "folder"}]``. Raises UserError in one line for what cannot be had.
    """
    from pathlib import Path

    from millrace.asking import open_asker
    from millrace.settings import load_settings

    chosen = load_settings(None if settings is None else Path(settings), options=options)
    return open_asker(chosen, None if snapshot is None else fspath(snapshot))
