"""Records of a corpus: token batches, the end of a partition, the corpus itself."""

import hashlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import MaxLen

from streams import bounds
from streams.arrays import U8, U32, AnyArray, Bool
from streams.errors import ShapeError, VocabularyError
from streams.names import Name


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """The unit on the bus and of one forward pass.

    ids: token ids, [row, position]. mask: True where a token is, [row, position]; False is padding.
    keys: the 128-bit sample keys, [row, 16] bytes. documents and domains: one per row, "" for none.
    sequence: 0, 1, 2, ... within the partition.
    """

    corpus: str
    partition: int
    sequence: int
    ids: U32
    mask: Bool
    keys: U8
    documents: tuple[str, ...]
    domains: tuple[str, ...]

    def check(self, vocabulary: int) -> None:
        """Raise ShapeError or VocabularyError unless the batch is whole and its ids are known."""
        rows = self.ids.shape[0]
        if self.ids.ndim != 2 or 0 in self.ids.shape:
            raise ShapeError(f"token batch: ids have shape {self.ids.shape}")
        if self.mask.shape != self.ids.shape:
            raise ShapeError(f"token batch: mask {self.mask.shape} for ids {self.ids.shape}")
        if self.keys.shape != (rows, 16) or not len(self.documents) == len(self.domains) == rows:
            raise ShapeError("token batch: keys, documents or domains do not match the rows")
        if self.sequence < 0 or self.partition < 0:
            raise ShapeError("token batch: negative sequence or partition")
        largest = int(self.ids.max())
        if largest >= vocabulary:
            raise VocabularyError(found=largest, size=vocabulary)


@dataclass(frozen=True, slots=True)
class PartitionEnd:
    """Written once after the last batch of a partition: it held sequences 0 to batches - 1."""

    corpus: str
    partition: int
    batches: int
    rows: int
    tokens: int


@dataclass(frozen=True, slots=True)
class CorpusRecord:
    """What is known of a corpus; rewritten with ``sealed`` and totals once all ends are there.

    tokenizer: its name or folder. tokenizer_id: a hash of what it does. special_ids: ids that the
    tokenizer calls special. bos_id: the id put before every row, None if none is. context: tokens
    per row. batches, rows, tokens and documents are totals of a sealed corpus.
    """

    name: Name
    partitions: bounds.Partitions
    tokenizer: bounds.Text
    tokenizer_id: bounds.Text
    vocabulary: bounds.Vocabulary
    context: bounds.Context
    batch_rows: bounds.BatchRows
    pack: bool
    bos_id: bounds.TokenId | None
    pad_id: bounds.TokenId
    special_ids: Annotated[tuple[bounds.TokenId, ...], MaxLen(bounds.MAX_VOCABULARY)]
    fingerprint: bounds.Text = ""
    sealed: bool = False
    batches: bounds.Count = 0
    rows: bounds.Count = 0
    tokens: bounds.Count = 0
    documents: bounds.Count = 0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The bytes that each token id stands for, so that readers need no tokenizer."""

    corpus: Name
    tokens: Annotated[tuple[bytes, ...], MaxLen(bounds.MAX_VOCABULARY)]


def sample_key(tokenizer_id: str, ids: AnyArray, mask: AnyArray) -> bytes:
    """Return the 128-bit key of a row: BLAKE2b over tokenizer id, ids (u32 little end) and mask.

    Padding ids are counted as 0, so that the key does not depend on the padding token.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(tokenizer_id.encode() + b"\0")
    digest.update(np.where(mask, ids, 0).astype("<u4").tobytes())
    digest.update(np.packbits(mask).tobytes())
    return digest.digest()


def sample_keys(tokenizer_id: str, ids: AnyArray, mask: AnyArray) -> U8:
    """Return the sample keys of many rows at once, [row, 16]; ids and mask are [row, position]."""
    prefix = hashlib.blake2b(tokenizer_id.encode() + b"\0", digest_size=16)
    tokens = np.where(mask, ids, 0).astype("<u4")
    packed = np.packbits(mask, axis=1)
    keys = bytearray()
    for row_tokens, row_mask in zip(tokens, packed, strict=True):
        digest = prefix.copy()
        digest.update(row_tokens.data)
        digest.update(row_mask.data)
        keys += digest.digest()
    return np.frombuffer(bytes(keys), np.uint8).reshape(len(tokens), 16)
