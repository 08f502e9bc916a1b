"""Documents as token ids: texts through the tokenizer, ids as they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from producers.documents import Document, Refusals
from streams.arrays import Bool
from streams.tokenizer.tokenizer import Tokenizer

CHUNK_DOCUMENTS = 256
CHUNK_CHARACTERS = 2**20
LongRows = Literal["split", "cut", "refuse"]
LONG_ROWS: tuple[LongRows, ...] = get_args(LongRows)


@dataclass(frozen=True, slots=True, eq=False)
class Tokenised:
    """A document's ids, [token] of any integer type, without the BOS before its rows.

    counted: which of them count, [token]; None for all. bos: whether its rows begin with the
    corpus's BOS.
    """

    document: Document
    ids: Any
    counted: Bool | None = None
    bos: bool = True

    def counts(self) -> Bool:
        """Return which tokens count, [token]."""
        return np.ones(len(self.ids), bool) if self.counted is None else self.counted


@dataclass(frozen=True, slots=True)
class Form:
    """How documents become ids.

    context: tokens per row. bos: the id before every row of text. add_bos: put it before rows of
    token ids, too, that have none. long_rows: what happens to a row of ids with more tokens than
    a row has: it is split into several, cut off, or refused.
    """

    context: int
    bos: int | None = None
    add_bos: bool = False
    long_rows: LongRows = "split"


def tokenised(
    tokenizer: Tokenizer, documents: Iterable[Document], form: Form, refusals: Refusals
) -> Iterator[Tokenised]:
    """Yield documents with their ids; texts are tokenised some at a time, which makes it fast.

    A document that cannot be used goes to ``refusals``.
    """
    chunk: list[Document] = []
    characters = 0
    for document in documents:
        chunk.append(document)
        characters += len(document.text)
        if len(chunk) == CHUNK_DOCUMENTS or characters >= CHUNK_CHARACTERS:
            yield from _of_chunk(tokenizer, chunk, form, refusals)
            chunk, characters = [], 0
    yield from _of_chunk(tokenizer, chunk, form, refusals)


def _of_chunk(
    tokenizer: Tokenizer, chunk: list[Document], form: Form, refusals: Refusals
) -> Iterator[Tokenised]:
    encoded = iter(tokenizer.encode([d.text for d in chunk if d.tokens is None]))
    for document in chunk:
        if document.tokens is None:
            yield Tokenised(document, next(encoded))
            continue
        found = _of_ids(tokenizer, document, document.tokens, form, refusals)
        if found is not None:
            yield found


def _of_ids(
    tokenizer: Tokenizer, document: Document, ids: Any, form: Form, refusals: Refusals
) -> Tokenised | None:
    """Return a row of ids as it is but for the BOS, which is put before every row anew."""
    if len(ids) and int(ids.max()) >= tokenizer.size:
        cause = (
            f"it holds token id {int(ids.max())}, and the tokenizer {tokenizer.location} has "
            f"{tokenizer.size}: name the tokenizer that made the ids"
        )
        refusals.add(f"document {document.id}", cause)
        return None
    has_bos = form.bos is not None and len(ids) > 0 and int(ids[0]) == form.bos
    text = ids[1:] if has_bos else ids
    bos = has_bos or (form.bos is not None and form.add_bos)
    width = form.context - bos
    if len(text) > width and not document.joined and form.long_rows != "split":
        if form.long_rows == "refuse":
            cause = f"its row has {len(ids)} tokens, and the context is {form.context}"
            refusals.add(f"document {document.id}", cause)
            return None
        text = text[:width]
    return Tokenised(document, text, bos=bos)
