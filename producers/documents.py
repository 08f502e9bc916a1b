"""What every reader of text yields, and what it does with text that cannot be read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from streams.arrays import U32
from streams.errors import CorpusError

MAX_BAD_BYTES = 2**20


class UnusableError(ValueError):
    """A record holds no document; the text says why, in one clause."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text, one row of token ids, or one conversation. domain: a tag like "docs", "" for none.

    tokens: the ids, [token], padding left out, where the document holds ids instead of text; None
    otherwise. joined: they are many rows in one, as a file of a stream of tokens has them.
    messages: of a conversation, each with "role" and "content"; None otherwise.
    """

    id: str
    domain: str
    text: str
    tokens: U32 | None = field(default=None, compare=False)
    messages: tuple[Mapping[str, Any], ...] | None = None
    joined: bool = False


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

    @property
    def refusals(self) -> "RefusedDocuments":
        """What happens to a document that cannot be used."""

    def __iter__(self) -> Iterator[Document]: ...


class RefusedDocuments:
    """Decides what happens to text that cannot be read: it stops us, or is counted and handed on.

    count: how many were handed on so far.
    """

    def __init__(
        self, skip: bool = False, on_bad: Callable[[BadDocument], None] | None = None
    ) -> None:
        self.skip = skip
        self.on_bad = on_bad
        self.count = 0

    def expect_skipped(self, where: str, cause: str) -> None:
        """Raise CorpusError for a bad document unless bad ones are skipped.

        Called by itself before what may have no end is read only to be passed over.
        """
        if not self.skip:
            raise CorpusError(f"{where}: {cause}; mend or remove it, or skip it with --skip-bad")

    def add(self, where: str, cause: str, data: bytes = b"") -> None:
        """Hand a bad document on; raise CorpusError instead unless bad ones are skipped."""
        self.expect_skipped(where, cause)
        self.count += 1
        if self.on_bad is not None:
            self.on_bad(BadDocument(where, cause, data[:MAX_BAD_BYTES]))
