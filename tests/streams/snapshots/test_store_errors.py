"""A store out of reach is one, whatever its library calls that."""

from typing import Any

import pytest
from aiohttp import ClientPayloadError
from botocore.exceptions import EndpointConnectionError
from botocore.parsers import ResponseParserError
from fsspec.implementations.memory import MemoryFileSystem

from consumers.snapshots.assembly import patiently
from streams.errors import DamagedPartError, SnapshotError, StoreError
from streams.snapshots.drafts import remove_drafts
from streams.snapshots.store import open_store, read_manifest, write_file
from streams.snapshots.store_errors import os_errors
from streams.snapshots.table_reading import check_part, read_table
from tests.downstream.dashboard.snapshot_files import small, write_snapshot

ERRORS = [
    EndpointConnectionError(endpoint_url="https://s3.example"),
    ClientPayloadError("the body is cut"),
    ResponseParserError("no XML\nat all"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_a_store_s_library_raises_is_tried_again_and_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    manifest = write_snapshot("memory://errors", small())
    store, part = open_store(manifest.store), manifest.files[0]
    tries = []

    def away(*_: Any, **__: Any) -> Any:
        tries.append(1)
        raise error

    for name in ("_open", "cat_file", "ls"):
        monkeypatch.setattr(MemoryFileSystem, name, away)
    for act in (
        lambda: check_part(store, manifest.run, part),
        lambda: read_table(manifest, part.table),
        lambda: write_file(store, store.path("x"), b""),
    ):
        tries.clear()
        with pytest.raises(StoreError) as caught:
            patiently(act, 0.001)
        assert not isinstance(caught.value, DamagedPartError)
        assert str(error).partition("\n")[0] in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(tries) == 5
    with pytest.raises(SnapshotError, match="no snapshot at"):
        read_manifest(f"{manifest.store}/{manifest.run}/{manifest.snapshot}/manifest.json")
    with pytest.raises(OSError):
        remove_drafts(store.files, store.path(manifest.run), 0)


def test_other_errors_are_nobody_s_store() -> None:
    with pytest.raises(ZeroDivisionError), os_errors():
        _ = 1 / 0
