"""The files at a place: a file, a folder, a pattern, an address of an object store, or ``-``."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from producers.readers.opening import STDIN, Location, reason, standard_input
from streams.errors import CorpusError
from streams.regular_files import open_regular

_PATTERN = "*?["


def is_address(place: str) -> bool:
    """Return whether a place is an address of fsspec, such as s3://bucket/folder."""
    return "://" in place


def locations(place: str, prefix: bool = False) -> Iterator[Location]:
    """Yield the files at a place, sorted; hidden ones and byte code are left out of folders.

    prefix: put a folder's own name before the names of its files. Raises CorpusError if there is
    nothing.
    """
    if place == STDIN:
        yield Location("-", "stdin", standard_input)
    elif is_address(place):
        yield from _stored(place, prefix)
    elif Path(place).exists():
        yield from _on_disk(Path(place), prefix)
    elif any(mark in place for mark in _PATTERN) and (found := sorted(glob.glob(place))):
        for path in found:
            yield from _on_disk(Path(path), prefix or Path(path).is_dir(), named=False)
    else:
        raise absent(place)


def expect_location(place: str) -> None:
    """Raise CorpusError if nothing is at a place on disk; stores are asked when they are read."""
    if place == STDIN or is_address(place) or Path(place).exists():
        return
    if not any(mark in place for mark in _PATTERN) or not glob.glob(place):
        raise absent(place)


def absent(place: str) -> CorpusError:
    """Return the error for a place where nothing is."""
    return CorpusError(f"there is no file or folder {place}: check the name")


def is_pipe(place: str) -> bool:
    """Return whether a place is a named pipe, whose text can be read once like standard input's."""
    return not is_address(place) and Path(place).is_fifo()


def _on_disk(path: Path, prefix: bool, named: bool = True) -> Iterator[Location]:
    """Yield the files at a path. named: by the user, who may mean a pipe."""
    if not path.is_dir():
        if named and path.is_fifo():
            yield Location(str(path), path.name, lambda: path.open("rb"))
        else:
            yield _file(path, path.name, named=True)
        return
    before = f"{path.name}/" if prefix else ""
    for found in _files_under(path):
        yield _file(found, before + found.relative_to(path).as_posix())


def _file(path: Path, name: str, named: bool = False) -> Location:
    def opened() -> BinaryIO:
        try:
            return open_regular(path)
        except FileNotFoundError as error:
            if not named:
                raise
            raise absent(str(path)) from error

    return Location(str(path), name.encode(errors="replace").decode(), opened, path)


def _files_under(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise CorpusError(f"cannot read the folder {folder}: {reason(error)}") from error
    for entry in entries:
        if _left_out(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files_under(Path(entry.path))
        elif not entry.is_dir():  # a pipe or a broken link is said to be none when it is opened
            yield Path(entry.path)


def _left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _stored(address: str, prefix: bool) -> Iterator[Location]:
    """Yield the files at an address of fsspec."""
    try:
        files, paths, root = _listed(address)
    except CorpusError:
        raise
    except Exception as error:  # stores raise all sorts
        raise CorpusError(f"cannot list {address}: {_cause(error)}") from error
    for path in paths:
        relative = path[len(root) :].strip("/") if path.startswith(root) else path
        name = PurePosixPath(path).name if path == root or not relative else relative
        before = f"{PurePosixPath(root).name}/" if prefix and path != root else ""
        yield Location(files.unstrip_protocol(path), before + name, _opener(files, path))


def _listed(address: str) -> tuple[Any, list[str], str]:
    """Return the file system, the files and the folder that these are named relative to."""
    import fsspec

    files, path = fsspec.core.url_to_fs(address)
    path = path.rstrip("/")
    if any(mark in path for mark in _PATTERN):
        root = str(
            PurePosixPath(path[: min(path.find(m) for m in _PATTERN if m in path)] + "x").parent
        )
        found = [one for one in files.glob(path) if files.isfile(one)]
    elif files.isdir(path):
        root = path
        found = files.find(path)
    elif files.exists(path):
        root = path
        found = [path]
    else:
        raise absent(address)
    shown = [one for one in found if not any(map(_left_out, one[len(root) :].split("/")))]
    if not found:
        raise absent(address)
    return files, sorted(shown), root


def _opener(files: Any, path: str) -> Any:
    from fsspec.implementations.local import LocalFileSystem

    def opened() -> BinaryIO:
        if isinstance(files, LocalFileSystem):
            return open_regular(path)
        return cast(BinaryIO, files.open(path, "rb"))

    return opened


def _cause(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text.rstrip(".")
