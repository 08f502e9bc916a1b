"""A log of small files in a store, ``<time>-<hash>.json`` each: appends where a store has none.

An entry is written once, under a name that its time and its bytes give, so that writers need not
know of each other and writing one again changes nothing.
"""

import hashlib
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from streams.errors import SnapshotError
from streams.snapshots.store import Store, write_file

_FILE = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{16}\.json")


@dataclass(frozen=True, slots=True)
class EntryLog:
    """The log in a folder of a store. folder: its path there, in parts."""

    store: Store
    folder: Sequence[str]

    def add(self, at: str, data: bytes) -> str:
        """Write an entry and return its path. at: its time, ISO 8601 with an offset from UTC.

        Raises SnapshotError for another time, StoreError if it cannot be written.
        """
        name = f"{_stamp(at)}-{hashlib.sha256(data).hexdigest()[:16]}.json"
        path = self.store.path(*self.folder, name)
        write_file(self.store, path, data)
        return path

    def names(self) -> list[str]:
        """Return the names of all entries, oldest first; SnapshotError if they cannot be listed."""
        folder = self.store.path(*self.folder)
        try:
            self.store.files.invalidate_cache()
            found = [posixpath.basename(path) for path in self.store.files.ls(folder, detail=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SnapshotError(f"cannot read {folder}: {error.strerror or error}") from error
        return sorted(filter(_FILE.fullmatch, found))

    def read(self, name: str) -> bytes:
        """Return an entry's bytes; raises OSError."""
        found: bytes = self.store.files.cat_file(self.store.path(*self.folder, name))
        return found

    def keep_newest(self, most: int) -> None:
        """Remove the oldest entries beyond ``most``; raises OSError or SnapshotError."""
        for name in self.names()[:-most]:
            try:
                self.store.files.rm_file(self.store.path(*self.folder, name))
            except FileNotFoundError:
                continue  # somebody else removed it


def _stamp(at: str) -> str:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise SnapshotError(f"a log entry's time is no ISO 8601: {at[:80]!r}") from error
    if moment.tzinfo is None:
        raise SnapshotError(f"a log entry's time needs an offset from UTC: {at[:80]!r}")
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
