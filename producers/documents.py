"""What every reader of text yields, and what it does with text that cannot be read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from streams.errors import CorpusError

MAX_BAD_BYTES = 2**20


class UnusableError(ValueError):
    """A record holds no document; the text says why, in one clause."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text. domain: a tag such as "docs", "" for none."""

    id: str
    domain: str
    text: str


@dataclass(frozen=True, slots=True)
class BadDocument:
    """What could not be read: where (file and line), why, and its bytes, the first MiB at most."""

    where: str
    cause: str
    data: bytes


class Documents(Protocol):
    """Text to make a corpus of. Iterating twice gives the same documents if ``rereadable``."""

    @property
    def rereadable(self) -> bool:
        """Whether the text can be read again, so that a broken-off production can be resumed."""

    def __iter__(self) -> Iterator[Document]: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """Documents that are already in memory."""

    documents: tuple[Document, ...]
    rereadable: bool = True

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a JSON object, Parquet row or dataset row hold what; None: no such field."""

    text: str = "text"
    id: str | None = None
    domain: str | None = None

    def names(self) -> list[str]:
        """Return the fields that a record must have."""
        return [name for name in (self.text, self.id, self.domain) if name is not None]


class Refusals:
    """Decides what happens to text that cannot be read: it stops us, or is counted and handed on.

    count: how many were handed on so far.
    """

    def __init__(
        self, skip: bool = False, on_bad: Callable[[BadDocument], None] | None = None
    ) -> None:
        self.skip = skip
        self.on_bad = on_bad
        self.count = 0

    def add(self, where: str, cause: str, data: bytes = b"") -> None:
        """Hand a bad document on; raise CorpusError instead unless bad ones are skipped."""
        if not self.skip:
            raise CorpusError(f"{where}: {cause}; mend or remove it, or skip it with --skip-bad")
        self.count += 1
        if self.on_bad is not None:
            self.on_bad(BadDocument(where, cause, data[:MAX_BAD_BYTES]))


def document_of(record: Any, fields: Fields, fallback: str) -> Document:
    """Return the document that a record holds: an object with the fields, or a bare string.

    fallback: the id of a document without an id field. Raises UnusableError for others.
    """
    if isinstance(record, str):
        return Document(fallback, "", encodable(record))
    if not isinstance(record, Mapping):
        raise UnusableError(f"it holds {_kind(record)} where an object or a string should be")
    missing = [name for name in fields.names() if name not in record]
    if missing:
        has = ", ".join(map(str, record)) or "no fields"
        raise UnusableError(f"it has no field {missing[0]!r} (it has: {has})")
    text = record[fields.text]
    if not isinstance(text, str):
        raise UnusableError(f"field {fields.text!r} holds {_kind(text)} where text should be")
    name = fallback if fields.id is None else str(record[fields.id])
    domain = "" if fields.domain is None else record[fields.domain]
    return Document(encodable(name), encodable(str(domain or "")), encodable(text))


def encodable(text: str) -> str:
    """Return ``text``; raise UnusableError if it holds half a surrogate pair."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnusableError(
                f"it holds half a surrogate pair at character {error.start}"
            ) from None
    return text


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
