"""Staging folder: an export grows beside OUT, goes on where it broke off, and appears whole.

Each file in it appears whole as well, so that whatever is there is finished. What the export is
made of is written down first; a staging folder of another export is emptied.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from streams.errors import ExportError
from streams.names import is_inner_path

T = TypeVar("T")

ABOUT = "millrace-export.json"
"""The file of an exported folder that says what it was made of."""

_BLOCK = 2**20
_DRAFTS = ".drafts"
_PIECES = ".pieces"
_ALONE = ".alone"


class Staging:
    """The files of one export while they are written.

    made_of: what decides their bytes; the same is continued, another is begun anew.
    """

    def __init__(self, out: Path, made_of: Mapping[str, Any]) -> None:
        self._out = out
        self._made_of = json.dumps(made_of, indent=1, sort_keys=True).encode()
        self.folder = out.with_name(f".{out.name}.partial")
        self.continued = False

    def begin(self) -> None:
        """Make the folder, or find the one that was left. Raises ExportError if it cannot be."""
        about = self.folder / ABOUT
        try:
            self.continued = about.is_file() and about.read_bytes() == self._made_of
            if not self.continued:
                self._remove(self.folder)
                self.folder.mkdir(parents=True)
                about.write_bytes(self._made_of)
            self._remove(self.folder / _DRAFTS)
            (self.folder / _DRAFTS).mkdir()
        except OSError as error:
            raise _unwritable(self._out, error) from error

    def has(self, name: str) -> bool:
        """Return whether a file is there, and so finished."""
        return self._path(name).is_file()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Yield a file that stands under its name once the block has ended, nowhere if it fails."""
        path, draft = self._path(name), self.folder / _DRAFTS / uuid.uuid4().hex
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                yield file
            draft.replace(path)
        except OSError as error:
            raise _unwritable(self._out, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        with self.open(name) as file:
            file.write(data)

    def write_pieces(self, name: str, pieces: Iterable[T], encode: Callable[[T], bytes]) -> None:
        """Write a large file from pieces; those of an earlier attempt are not made again."""
        if self.has(name):
            return
        folder = f"{_PIECES}/{name}"
        number = -1
        for number, piece in enumerate(pieces):
            if not self.has(f"{folder}/{number}"):
                self.write(f"{folder}/{number}", encode(piece))
        with self.open(name) as file:
            for at in range(number + 1):
                with self._path(f"{folder}/{at}").open("rb") as part:
                    shutil.copyfileobj(part, file, _BLOCK)
        self._remove(self._path(folder))

    def read(self, name: str) -> BinaryIO:
        """Open a file that is there."""
        return self._path(name).open("rb")

    @property
    def alone(self) -> str:
        """The name of the file that is to be all of OUT."""
        return _ALONE

    def finish(self, *, replace: bool) -> None:
        """Put the export in the place of OUT; raises ExportError if that is not possible."""
        try:
            for name in (_DRAFTS, _PIECES):
                self._remove(self.folder / name)
            alone = self.folder / _ALONE
            made = alone if alone.is_file() else self.folder
            before = self._out.with_name(f".{self._out.name}.{uuid.uuid4().hex}.before")
            if replace and self._out.exists():
                self._out.rename(before)
            made.rename(self._out)
            self._remove(before)
            self._remove(self.folder)
        except OSError as error:
            raise _unwritable(self._out, error) from error

    def _path(self, name: str) -> Path:
        hidden = (_ALONE, f"{_PIECES}/{_ALONE}")
        inner = name.removeprefix(f"{_PIECES}/")
        if name not in hidden and not name.startswith(hidden[1]) and not is_inner_path(inner):
            raise ExportError(f"{name!r} cannot be the name of a file: choose plainer names")
        return self.folder / name

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _unwritable(out: Path, error: OSError) -> ExportError:
    where = error.filename or out
    return ExportError(f"cannot write {out}: {where}: {error.strerror or error}")
