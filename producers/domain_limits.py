"""So many documents or rows of each domain, the first ones in the order of the text."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from producers.documents import Document
from producers.rows import Rows
from streams.errors import SettingsError

Kind = Literal["documents", "rows"]
_WRITTEN = re.compile(r" *(\d+) *(documents|rows|)")


@dataclass(frozen=True, slots=True)
class DomainLimit:
    """How much is taken of each domain; text without a domain is one."""

    number: int
    kind: Kind = "documents"

    def text(self) -> str:
        """Return the limit as settings write it."""
        return f"{self.number}{self.kind}"


def parse_domain_limit(text: str) -> DomainLimit:
    """Return the limit that ``200``, ``200documents`` or ``500rows`` means; else SettingsError."""
    found = _WRITTEN.fullmatch(text.replace("_", ""))
    if found is not None and int(found[1]) > 0:
        return DomainLimit(int(found[1]), "rows" if found[2] == "rows" else "documents")
    raise SettingsError(f"limit_per_domain: {text!r}: write 200documents or 500rows")


def limited_documents(
    documents: Iterable[Document], limit: DomainLimit | None
) -> Iterator[Document]:
    """Pass the first documents of each domain on, if documents are limited."""
    if limit is None or limit.kind != "documents":
        yield from documents
        return
    seen: Counter[str] = Counter()
    for document in documents:
        seen[document.domain] += 1
        if seen[document.domain] <= limit.number:
            yield document


def limited_rows(rows: Iterable[Rows], limit: DomainLimit | None) -> Iterator[Rows]:
    """Pass the first rows of each domain on, if rows are limited.

    A document that no row is taken of is not counted as begun.
    """
    if limit is None or limit.kind != "rows":
        yield from rows
        return
    seen: Counter[str] = Counter()
    for chunk in rows:
        taken = []
        for domain in chunk.domains:
            seen[domain] += 1
            taken.append(seen[domain] <= limit.number)
        yield chunk.take(np.array(taken, bool))
