"""Cutting tokenised documents into rows of the context length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from producers.documents import Document
from producers.packing_buffer import FIRST, PackingBuffer
from producers.tokenised import Tokenised
from streams.arrays import I64, U32, Bool
from streams.errors import SettingsError

# So many rows of a document are made at a time: it may be a memory map of billions of tokens.
ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in the order of the corpus.

    ids: [row, position]. mask: [row, position], True where a token is that counts. documents and
    domains: one per row; a row that joins documents has those of its first token of text. begun:
    [row], how many documents have their first token there. lengths: [row], how many tokens are
    there; None where all of them count.
    """

    ids: U32
    mask: Bool
    documents: tuple[str, ...]
    domains: tuple[str, ...]
    begun: I64
    lengths: I64 | None = None

    def row_lengths(self) -> I64:
        """Return how many tokens are in each row, [row]."""
        return self.mask.sum(axis=1) if self.lengths is None else self.lengths

    def part(self, start: int, stop: int) -> "Rows":
        """Return rows ``start`` to ``stop`` - 1."""
        return Rows(
            self.ids[start:stop],
            self.mask[start:stop],
            self.documents[start:stop],
            self.domains[start:stop],
            self.begun[start:stop],
            None if self.lengths is None else self.lengths[start:stop],
        )

    def take(self, which: Bool) -> "Rows":
        """Return some of the rows, [row]."""
        chosen = np.flatnonzero(which).tolist()
        return Rows(
            self.ids[which],
            self.mask[which],
            tuple(self.documents[row] for row in chosen),
            tuple(self.domains[row] for row in chosen),
            self.begun[which],
            None if self.lengths is None else self.lengths[which],
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are made.

    pad: the id behind a row's tokens. bos: the id before every row. separator: between joined
    documents; it counts only if ``count_separator``. count_bos: whether the BOS counts.
    """

    context: int
    pad: int
    bos: int | None = None
    pack: bool = False
    separator: int | None = None
    count_separator: bool = True
    count_bos: bool = True

    def __post_init__(self) -> None:
        if self.width < 1:
            raise SettingsError(
                f"context: {self.context} leaves no room for text; take {self.context + 1} or more"
            )

    @property
    def width(self) -> int:
        """How many tokens of text a row holds."""
        return self.context - (self.bos is not None)

    def rows(self, documents: Iterable[Tokenised]) -> Iterator[Rows]:
        """Yield the rows of documents, given in their order; one without a token has none."""
        with_tokens = (item for item in documents if len(item.ids))
        if self.pack:
            yield from self._joined(with_tokens)
        else:
            for item in with_tokens:
                yield from self._of_document(item)

    def _of_document(self, tokenised: Tokenised) -> Iterator[Rows]:
        cut = self if tokenised.bos else replace(self, bos=None)
        for start in range(0, len(tokenised.ids), cut.width * ROWS):
            part = slice(start, start + cut.width * ROWS)
            yield cut._of_part(
                tokenised.document,
                np.asarray(tokenised.ids[part]),
                None if tokenised.counted is None else tokenised.counted[part],
                first=start == 0,
            )

    def _of_part(self, document: Document, ids: Any, counted: Bool | None, first: bool) -> Rows:
        count = -(-len(ids) // self.width)
        text = np.full(count * self.width, self.pad, np.uint32)
        text[: len(ids)] = ids
        counts = np.ones(count * self.width, bool)
        if counted is not None:
            counts[: len(ids)] = counted
        lengths = np.full(count, self.width)
        lengths[-1] = len(ids) - (count - 1) * self.width
        begun = np.zeros(count, np.int64)
        begun[0] = first
        shape = count, self.width
        owners = [document] * count
        return self._finish(text.reshape(shape), counts.reshape(shape), lengths, owners, begun)

    def _finish(
        self, text: U32, counted: Bool, lengths: I64, owners: list[Document], begun: I64
    ) -> Rows:
        """Put the BOS before rows of text [row, width] that hold ``lengths`` tokens each."""
        if self.bos is not None:
            text = np.insert(text, 0, self.bos, axis=1)
            counted = np.insert(counted, 0, self.count_bos, axis=1)
            lengths = lengths + 1
        present = np.arange(text.shape[1]) < lengths[:, None]
        mask = present & counted
        names = tuple(document.id for document in owners)
        domains = tuple(document.domain for document in owners)
        partly = bool((mask != present).any())
        return Rows(text, mask, names, domains, begun, lengths if partly else None)

    def _joined(self, documents: Iterable[Tokenised]) -> Iterator[Rows]:
        """Yield rows across documents; only the very last one is padded."""
        buffer = PackingBuffer(self.count_separator)
        for tokenised in documents:
            buffer.add(tokenised, self.separator)
            starts, end = buffer.row_starts(self.width, self.bos)
            for first in range(0, len(starts), ROWS):
                yield self._of_buffer(buffer, starts[first : first + ROWS], self.width)
            buffer.drop(end)
        if len(buffer.ids):
            yield self._of_buffer(buffer, [0], len(buffer.ids))

    def _of_buffer(self, buffer: PackingBuffer, starts: list[int], width: int) -> Rows:
        text = np.full((len(starts), self.width), self.pad, np.uint32)
        counted = np.ones((len(starts), self.width), bool)
        begun = np.zeros(len(starts), np.int64)
        for row, start in enumerate(starts):
            part = slice(start, start + width)
            text[row, :width] = buffer.ids[part]
            counted[row, :width] = buffer.counted[part]
            begun[row] = np.count_nonzero(buffer.kind[part] == FIRST)
        owners = [buffer.documents[buffer.owner[start]] for start in starts]
        return self._finish(text, counted, np.full(len(starts), width), owners, begun)


def first_tokens(rows: Iterable[Rows], limit: int) -> Iterator[Rows]:
    """Pass whole rows on until they hold ``limit`` tokens or more that count (BOS included)."""
    seen = 0
    for chunk in rows:
        lengths = chunk.mask.sum(axis=1)
        chosen = seen + np.cumsum(lengths) - lengths < limit
        yield chunk.take(chosen)
        seen += int(lengths[chosen].sum())
        if seen >= limit:
            return
