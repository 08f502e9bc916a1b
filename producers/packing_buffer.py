"""Packing buffer: text of joined documents that does not fill a row yet."""

import numpy as np

from producers.documents import Document
from producers.tokenised import Tokenised
from streams.arrays import U32, Bool

OTHER, FIRST, SEPARATOR = 0, 1, 2


class PackingBuffer:
    """Joined text that fills no row yet.

    ids, owner, kind and counted: [token]. owner: the number of a token's document, for a separator
    that of the document it precedes. kind: whether it is a separator or the first token of a
    document. counted: whether it counts.
    """

    def __init__(self, count_separator: bool = True) -> None:
        self.count_separator = count_separator
        self.ids = np.zeros(0, np.uint32)
        self.owner = np.zeros(0, np.int64)
        self.kind = np.zeros(0, np.uint8)
        self.counted = np.zeros(0, bool)
        self.documents: dict[int, Document] = {}
        self.count = 0

    def add(self, tokenised: Tokenised, separator: int | None) -> None:
        """Append a document, behind a separator unless it is the very first."""
        ids: U32 = np.asarray(tokenised.ids, np.uint32)
        counted: Bool = tokenised.counts()
        kind = np.full(len(ids), OTHER, np.uint8)
        kind[0] = FIRST
        if separator is not None and self.count:
            ids = np.insert(ids, 0, separator)
            kind = np.insert(kind, 0, SEPARATOR)
            counted = np.insert(counted, 0, self.count_separator)
        self.ids = np.concatenate([self.ids, ids])
        self.kind = np.concatenate([self.kind, kind])
        self.counted = np.concatenate([self.counted, counted])
        self.owner = np.concatenate([self.owner, np.full(len(ids), self.count)])
        self.documents[self.count] = tokenised.document
        self.count += 1

    def row_starts(self, width: int, bos: int | None) -> tuple[list[int], int]:
        """Return where the full rows start, and where what is left over does.

        A separator that is the BOS itself is left out at the beginning of a row, which has one.
        """
        starts: list[int] = []
        at = 0
        while True:
            if at < len(self.ids) and self.kind[at] == SEPARATOR and self.ids[at] == bos:
                at += 1
            if at + width > len(self.ids):
                return starts, at
            starts.append(at)
            at += width

    def drop(self, end: int) -> None:
        """Forget the tokens before ``end`` and the documents that have none left."""
        self.ids, self.owner, self.kind = self.ids[end:], self.owner[end:], self.kind[end:]
        self.counted = self.counted[end:]
        first = int(self.owner[0]) if len(self.owner) else self.count
        self.documents = {n: d for n, d in self.documents.items() if n >= first}
