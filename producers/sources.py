"""From the places a user names to documents: files, folders, stdin, datasets, Python's own text."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from producers.documents import Document, Fields, Refusals
from producers.readers.hugging_face import PREFIX, parse_place, read_dataset
from producers.readers.json_documents import read_json
from producers.readers.opening import (
    BROKEN_FILE,
    COMPRESSED,
    STDIN,
    read_json_lines,
    read_text,
    reason,
)
from producers.readers.parquet import read_parquet
from producers.readers.python_text import PLACE, python_documents
from streams.errors import CorpusError, SettingsError

_Reader = Callable[[Path, str, Fields, Refusals], Iterator[Document]]
FORMATS: dict[str, _Reader] = {
    "text": read_text,
    "json": read_json,
    "jsonl": read_json_lines,
    "parquet": read_parquet,
}
_BY_SUFFIX = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Source:
    """The text at one or more places, always in the same order.

    places: files, folders, ``-`` for stdin, ``hf:NAME[:CONFIG][#SPLIT]`` or ``python:``.
    format: one of FORMATS for every file; None lets the suffix choose, and anything else is text.
    Iterating raises CorpusError for what cannot be read, as ``refusals`` decides.
    """

    places: tuple[str, ...]
    format: str | None = None
    fields: Fields = field(default_factory=Fields)
    refusals: Refusals = field(default_factory=Refusals)

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise SettingsError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        if not self.places:
            raise SettingsError("no text is named: give files, folders, '-', hf:NAME or python:")

    @property
    def rereadable(self) -> bool:
        """Whether all places can be read again: standard input cannot."""
        return STDIN not in self.places

    def expect_places(self) -> None:
        """Raise CorpusError if a file or folder is not there, before any of them is read."""
        for place in self.places:
            if place.startswith(PREFIX):
                parse_place(place)
            elif place not in (PLACE, STDIN) and not Path(place).exists():
                raise _absent(Path(place))

    def __iter__(self) -> Iterator[Document]:
        for place in self.places:
            yield from self._read(place)

    def _read(self, place: str) -> Iterator[Document]:
        if place == PLACE:
            return python_documents()
        if place.startswith(PREFIX):
            return read_dataset(place, self.fields, self.refusals)
        if place == STDIN:
            return self._read_file(Path(STDIN), "stdin")
        path = Path(place)
        if path.is_dir():
            return self._read_folder(path)
        return self._read_file(path, path.name)

    def _read_folder(self, folder: Path) -> Iterator[Document]:
        prefix = f"{folder.name}/" if len(self.places) > 1 else ""
        for path in files_under(folder):
            yield from self._read_file(path, prefix + path.relative_to(folder).as_posix())

    def _read_file(self, path: Path, name: str) -> Iterator[Document]:
        reader = FORMATS[self.format or format_of(path)]
        printable = name.encode(errors="replace").decode()
        try:
            yield from reader(path, printable, self.fields, self.refusals)
        except FileNotFoundError as error:
            raise _absent(path) from error
        except BROKEN_FILE as error:
            self.refusals.add(str(path), reason(error))


def _absent(path: Path) -> CorpusError:
    return CorpusError(f"there is no file or folder {path}: check the name")


def format_of(path: Path) -> str:
    """Return the format that a file's suffix stands for, looking behind one of compression."""
    plain = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return _BY_SUFFIX.get(plain.suffix.lower(), "text")


def files_under(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below, sorted; hidden ones and byte code are left out."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise CorpusError(f"cannot read the folder {folder}: {reason(error)}") from error
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_under(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)
