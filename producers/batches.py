"""Fixed batches: which row goes into which batch, partition and sequence is settled here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from producers.rows import Rows
from streams.arrays import U32, Bool
from streams.corpus import TokenBatch, sample_keys
from streams.errors import SettingsError


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

    def batch(self, number: int, ids: U32, mask: Bool, names: "_Names") -> TokenBatch:
        """Return batch ``number`` of the corpus."""
        sequence, partition = divmod(number, self.partitions)
        keys = sample_keys(self.tokenizer_id, ids, mask)
        documents, domains = zip(*names, strict=True)
        return TokenBatch(self.corpus, partition, sequence, ids, mask, keys, documents, domains)


_Names = list[tuple[str, str]]


def batches(layout: Layout, rows: Iterable[Rows]) -> Iterator[TokenBatch]:
    """Yield the batches of a corpus in order. However the rows come in chunks, they are the same;
    the last batch may be shorter."""
    ids: list[U32] = []
    mask: list[Bool] = []
    names: _Names = []
    number = 0
    for chunk in rows:
        ids.append(chunk.ids)
        mask.append(chunk.mask)
        names.extend(zip(chunk.documents, chunk.domains, strict=True))
        if len(names) < layout.rows:
            continue
        all_ids, all_mask = np.concatenate(ids), np.concatenate(mask)
        full = len(names) - len(names) % layout.rows
        for start in range(0, full, layout.rows):
            part = slice(start, start + layout.rows)
            yield layout.batch(number, all_ids[part], all_mask[part], names[part])
            number += 1
        ids, mask, names = [all_ids[full:]], [all_mask[full:]], names[full:]
    if names:
        yield layout.batch(number, np.concatenate(ids), np.concatenate(mask), names)
