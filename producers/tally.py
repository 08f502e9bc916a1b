"""Counts of what went into a corpus."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from producers.rows import Rows
from streams.records.corpus import PartitionEnd, TokenBatch


@dataclass(slots=True)
class CorpusTally:
    """Documents that were begun, and per partition batches, rows and tokens that count.

    A BOS counts here if a run may count it. largest: the largest id in any batch, -1 before the
    first.
    """

    documents: int = 0
    batches: Counter[int] = field(default_factory=Counter)
    rows: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    largest: int = -1

    def begun(self, rows: Iterable[Rows]) -> Iterator[Rows]:
        """Pass rows on and count the documents that begin in them."""
        for chunk in rows:
            self.documents += int(chunk.begun.sum())
            yield chunk

    def add(self, batch: TokenBatch) -> tuple[int, int]:
        """Count a batch; return its rows and tokens."""
        rows, tokens = len(batch.ids), int(batch.mask.sum())
        self.largest = max(self.largest, int(batch.ids.max()))
        self.batches[batch.partition] += 1
        self.rows[batch.partition] += rows
        self.tokens[batch.partition] += tokens
        return rows, tokens

    def end(self, corpus: str, partition: int) -> PartitionEnd:
        """Return the end record of a partition, also of one that got no batch."""
        return PartitionEnd(
            corpus,
            partition,
            self.batches[partition],
            self.rows[partition],
            self.tokens[partition],
        )
