"""Documents as token ids: texts through the tokenizer, ids as they are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from producers.documents import Document, RefusedDocuments, UnusableError
from streams.arrays import I64, Bool
from streams.tokenizer.chat import Chat, Span
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
    a row has: it is split into several, cut off, or refused. special: special tokens that a text
    spells are meant. chat: how conversations are read.
    """

    context: int
    bos: int | None = None
    add_bos: bool = False
    long_rows: LongRows = "split"
    special: bool = False
    chat: Chat | None = None


def tokenised(
    tokenizer: Tokenizer, documents: Iterable[Document], form: Form, refusals: RefusedDocuments
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
    tokenizer: Tokenizer, chunk: list[Document], form: Form, refusals: RefusedDocuments
) -> Iterator[Tokenised]:
    texts = [d.text for d in chunk if d.tokens is None and d.messages is None]
    encoded = iter(tokenizer.encode(texts, form.special))
    for document in chunk:
        try:
            if document.messages is not None:
                yield from _of_messages(tokenizer, document, document.messages, form)
            elif document.tokens is not None:
                yield _of_ids(tokenizer, document, document.tokens, form)
            else:
                ids = next(encoded)
                # A text that spells its BOS has it already.
                yield Tokenised(document, ids[1:] if form.special and _opens(ids, form) else ids)
        except UnusableError as error:
            refusals.add(f"document {document.id}", str(error))


def _opens(ids: Any, form: Form) -> bool:
    return form.bos is not None and len(ids) > 0 and int(ids[0]) == form.bos


def _of_messages(
    tokenizer: Tokenizer, document: Document, messages: Sequence[Mapping[str, Any]], form: Form
) -> Iterator[Tokenised]:
    """Yield a conversation: once, or for each role with that role's tokens counted."""
    if form.chat is None:
        raise UnusableError("it is a conversation: name its field as chat_field")
    try:
        text, spans = form.chat.render(messages)
        if not form.chat.tells_roles:
            ids = tokenizer.encode([text], special=True)[0]
            yield _without_bos(Tokenised(document, ids), form)
            return
        ids, places = tokenizer.encoder.encode_with_places(text)
    except ValueError as error:
        raise UnusableError(str(error)) from error
    wanted = form.chat.roles or tuple(dict.fromkeys(span.role for span in spans))
    counted = {role: _written_by(role, spans, places) for role in wanted}
    if not form.chat.role_domains:
        together = np.any(list(counted.values()), axis=0)
        yield _without_bos(Tokenised(document, ids, together), form)
        return
    for role, tokens in counted.items():
        if tokens.any():
            one = replace(document, domain=role)
            yield _without_bos(Tokenised(one, ids, tokens), form)


def _written_by(role: str, spans: Sequence[Span], places: I64) -> Bool:
    """Return which tokens stand for characters that a role wrote, [token]."""
    found = np.zeros(len(places), bool)
    for span in spans:
        if span.role == role:
            found |= (places[:, 0] < span.stop) & (places[:, 1] > span.start)
    return found


def _without_bos(found: Tokenised, form: Form) -> Tokenised:
    """Return a document without the BOS that it begins with, which goes before every row anew."""
    if not _opens(found.ids, form):
        return replace(found, bos=form.bos is not None and form.add_bos)
    counted = None if found.counted is None else found.counted[1:]
    return replace(found, ids=found.ids[1:], counted=counted, bos=True)


def _of_ids(tokenizer: Tokenizer, document: Document, ids: Any, form: Form) -> Tokenised:
    """Return a row of ids as it is."""
    if len(ids) and int(ids.max()) >= tokenizer.size:
        raise UnusableError(
            f"it holds token id {int(ids.max())}, and the tokenizer {tokenizer.location} has "
            f"{tokenizer.size}: name the tokenizer that made the ids"
        )
    found = _without_bos(Tokenised(document, ids), form)
    width = form.context - found.bos
    if len(found.ids) <= width or document.joined or form.long_rows == "split":
        return found
    if form.long_rows == "refuse":
        raise UnusableError(f"its row has {len(ids)} tokens, and the context is {form.context}")
    return replace(found, ids=found.ids[:width])
