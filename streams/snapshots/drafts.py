"""Files while they are being written: a draft beside the place where the file appears whole.

A process that is killed leaves its drafts behind. Whoever owns a shard next removes them, and the
process that owned it before may still be alive and writing: then its file cannot be put in place
any more, which it notices, and it writes that file again.

In an object store putting in place is a copy, which appears whole, and a removal.
"""

import hashlib
import posixpath
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from streams.errors import StoreError
from streams.snapshots.object_stores import address_of, is_object_store
from streams.snapshots.store_errors import os_errors

_SUFFIX = r"\.[0-9a-f]{32}\.tmp"


@dataclass(slots=True)
class DraftFile:
    """A file that is being written, and where it will stand."""

    path: str
    file: Any
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, data: bytes) -> None:
        """Write on."""
        self.file.write(data)
        self.digest.update(data)
        self.size += len(data)


@contextmanager
def draft(files: Any, path: str) -> Iterator[DraftFile]:
    """Yield a file that stands at its path once the block has ended, and nowhere if it fails.

    files: an fsspec filesystem. The block may change the path to another in the same folder. Raises
    StoreError if the file cannot be written or put in place.
    """
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    whole = False
    try:
        if not is_object_store(files):  # there it would make a bucket that is not there
            files.makedirs(posixpath.dirname(path), exist_ok=True)
        with os_errors():
            with files.open(temporary, "wb") as file:
                made = DraftFile(path, file)
                yield made
            files.mv(temporary, made.path)
        whole = True
    except OSError as error:
        what = f"cannot write {address_of(files, path)}: {error.strerror or error}"
        raise StoreError(f"{what}; make room there or take another store") from error
    finally:
        if not whole:
            with suppress(OSError), os_errors():
                if files.exists(temporary):
                    files.rm(temporary)


def remove_drafts(files: Any, folder: str, shard: int) -> list[str]:
    """Remove what a killed owner of a shard left in a run's folder; return the paths.

    That is the drafts of the shard's parts, and for shard 0, whose owner writes them, those of the
    run's manifests. Raises OSError if the folder cannot be listed or a file not be removed.
    """
    with os_errors():
        return _removed(files, folder, shard)


def _removed(files: Any, folder: str, shard: int) -> list[str]:
    files.invalidate_cache()
    found = _named(files, posixpath.join(folder, "parts"), rf"[a-z_]+-{shard:04d}{_SUFFIX}")
    if shard == 0:
        for path in _listed(files, folder):
            found += _named(files, path, rf"manifest\.json{_SUFFIX}")
    for path in found:
        with suppress(FileNotFoundError):
            files.rm(path)
    return found


def _named(files: Any, folder: str, pattern: str) -> list[str]:
    paths = _listed(files, folder)
    return [path for path in paths if re.fullmatch(pattern, posixpath.basename(path))]


def _listed(files: Any, folder: str) -> list[str]:
    """Return the paths in a folder; of none that does not exist, or that is a file."""
    try:
        return [path for path in files.ls(folder, detail=False) if path.rstrip("/") != folder]
    except (FileNotFoundError, NotADirectoryError):
        return []
