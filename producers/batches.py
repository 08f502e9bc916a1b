"""Fixed batches: which row goes into which batch, partition and sequence is settled here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from producers.rows import Rows
from streams.errors import SettingsError
from streams.records.corpus import TokenBatch, sample_keys


@dataclass(frozen=True, slots=True)
class Layout:
    """Row i is in batch i // rows; batch j is number j // partitions of partition j % partitions.

    tokenizer_id: goes into the sample keys.
    """

    corpus: str
    partitions: int
    rows: int
    tokenizer_id: str

    def __post_init__(self) -> None:
        if self.partitions < 1 or self.rows < 1:
            raise SettingsError("partitions and batch rows must be 1 or more")

    def batch(self, number: int, rows: Rows) -> TokenBatch:
        """Return batch ``number`` of the corpus."""
        sequence, partition = divmod(number, self.partitions)
        lengths = rows.row_lengths().astype(np.int32)
        all_count = bool((rows.mask.sum(axis=1) == lengths).all())
        part = None if all_count else lengths
        return TokenBatch(
            self.corpus,
            partition,
            sequence,
            rows.ids,
            rows.mask,
            sample_keys(self.tokenizer_id, rows.ids, rows.mask, part),
            rows.documents,
            rows.domains,
            part,
        )


def batches(layout: Layout, rows: Iterable[Rows]) -> Iterator[TokenBatch]:
    """Yield the batches of a corpus in order. However the rows come in chunks, they are the same;
    the last batch may be shorter."""
    buffered: list[Rows] = []
    count = number = 0
    for chunk in rows:
        buffered.append(chunk)
        count += len(chunk.documents)
        if count < layout.rows:
            continue
        together = _joined(buffered)
        full = count - count % layout.rows
        for start in range(0, full, layout.rows):
            yield layout.batch(number, together.part(start, start + layout.rows))
            number += 1
        buffered, count = [together.part(full, count)], count - full
    if count:
        yield layout.batch(number, _joined(buffered))


def _joined(chunks: list[Rows]) -> Rows:
    if len(chunks) == 1:
        return chunks[0]
    some = any(chunk.lengths is not None for chunk in chunks)
    return Rows(
        np.concatenate([chunk.ids for chunk in chunks]),
        np.concatenate([chunk.mask for chunk in chunks]),
        tuple(name for chunk in chunks for name in chunk.documents),
        tuple(name for chunk in chunks for name in chunk.domains),
        np.concatenate([chunk.begun for chunk in chunks]),
        np.concatenate([chunk.row_lengths() for chunk in chunks]) if some else None,
    )
