"""Writing a file and reading its documents, for tests of readers."""

from pathlib import Path

from producers.documents import BadDocument, Document, RefusedDocuments
from producers.fields import Fields
from producers.sources import TextSource


def write(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(place: object, fields: Fields | None = None, **options: object) -> list[Document]:
    return list(TextSource((str(place),), fields=fields or Fields(), **options))  # type: ignore[arg-type]


def texts(place: object, fields: Fields | None = None, **options: object) -> list[str]:
    return [document.text for document in read(place, fields, **options)]


def skipping(place: object, fields: Fields | None = None) -> tuple[list[str], list[BadDocument]]:
    """Return the texts at a place and what was passed over."""
    bad: list[BadDocument] = []
    refusals = RefusedDocuments(skip=True, on_bad=bad.append)
    found = texts(place, fields, refusals=refusals)
    assert refusals.count == len(bad)
    return found, bad
