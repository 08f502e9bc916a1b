"""Cutting tokenised documents into rows of the context length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from producers.documents import Document
from producers.waiting import FIRST, Waiting
from streams.arrays import I64, U32, Bool
from streams.errors import SettingsError

Tokenised = tuple[Document, U32]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in the order of the corpus.

    ids: [row, position]. mask: [row, position], True where a token is. documents and domains: one
    per row; a row that joins documents has those of its first token of text. begun: [row], how many
    documents have their first token there.
    """

    ids: U32
    mask: Bool
    documents: tuple[str, ...]
    domains: tuple[str, ...]
    begun: I64


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are made. bos: the id before every row. separator: between joined documents."""

    context: int
    pad: int
    bos: int | None = None
    pack: bool = False
    separator: int | None = None

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
        tokenised = (item for item in documents if len(item[1]))
        return self._joined(tokenised) if self.pack else map(self._of_document, tokenised)

    def _of_document(self, tokenised: Tokenised) -> Rows:
        document, ids = tokenised
        count = -(-len(ids) // self.width)
        text = np.full(count * self.width, self.pad, np.uint32)
        text[: len(ids)] = ids
        lengths = np.full(count, self.width)
        lengths[-1] = len(ids) - (count - 1) * self.width
        begun = np.zeros(count, np.int64)
        begun[0] = 1
        rows = text.reshape(count, self.width)
        return self._finish(rows, lengths, [document] * count, begun)

    def _finish(self, text: U32, lengths: I64, owners: list[Document], begun: I64) -> Rows:
        """Put the BOS before rows of text [row, width] that hold ``lengths`` tokens each."""
        if self.bos is not None:
            text = np.insert(text, 0, self.bos, axis=1)
            lengths = lengths + 1
        mask = np.arange(self.context) < lengths[:, None]
        names = tuple(document.id for document in owners)
        return Rows(text, mask, names, tuple(document.domain for document in owners), begun)

    def _joined(self, documents: Iterable[Tokenised]) -> Iterator[Rows]:
        """Yield rows across documents; only the very last one is padded."""
        waiting = Waiting()
        for document, ids in documents:
            waiting.add(document, ids, self.separator)
            starts, end = waiting.row_starts(self.width, self.bos)
            if starts:
                yield self._of_waiting(waiting, starts, self.width)
            waiting.drop(end)
        if len(waiting.ids):
            yield self._of_waiting(waiting, [0], len(waiting.ids))

    def _of_waiting(self, waiting: Waiting, starts: list[int], width: int) -> Rows:
        text = np.full((len(starts), self.width), self.pad, np.uint32)
        begun = np.zeros(len(starts), np.int64)
        for row, start in enumerate(starts):
            text[row, :width] = waiting.ids[start : start + width]
            begun[row] = np.count_nonzero(waiting.kind[start : start + width] == FIRST)
        owners = [waiting.documents[waiting.owner[start]] for start in starts]
        return self._finish(text, np.full(len(starts), width), owners, begun)


def first_tokens(rows: Iterable[Rows], limit: int) -> Iterator[Rows]:
    """Pass whole rows on until they hold ``limit`` tokens or more (BOS included)."""
    seen = 0
    for chunk in rows:
        lengths = chunk.mask.sum(axis=1)
        keep = int((seen + np.cumsum(lengths) - lengths < limit).sum())
        yield Rows(
            chunk.ids[:keep],
            chunk.mask[:keep],
            chunk.documents[:keep],
            chunk.domains[:keep],
            chunk.begun[:keep],
        )
        seen += int(lengths[:keep].sum())
        if seen >= limit:
            return
