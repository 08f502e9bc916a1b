"""Records of a corpus: token batches, token mask, sample identity, ends, vocabulary."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import MaxLen

from streams import bounds
from streams.arrays import I32, U8, U32, AnyArray, Bool
from streams.errors import ShapeError, VocabularyError
from streams.names import Name
from streams.wire import codec


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """The unit on the bus and of one forward pass.

    ids: token ids, [row, position]. mask: True where a token is that counts, [row, position]; False
    is padding, or a token that is only there to be read. keys: the 128-bit sample keys, [row, 16]
    bytes. documents and domains: one per row, "" for none. sequence: 0, 1, 2, ... within the
    partition. lengths: [row], how many tokens each row begins with; None where all of them count,
    so that the mask says it.
    """

    corpus: str
    partition: int
    sequence: int
    ids: U32
    mask: Bool
    keys: U8
    documents: tuple[str, ...]
    domains: tuple[str, ...]
    lengths: I32 | None = codec.later(None)

    def row_lengths(self) -> I32:
        """Return how many tokens each row begins with, [row]; what follows is padding."""
        return lengths_of(self.mask) if self.lengths is None else self.lengths

    def first_rows(self, rows: int) -> "TokenBatch":
        """Return a batch of the first rows alone, at the same place."""
        return replace(
            self,
            ids=self.ids[:rows],
            mask=self.mask[:rows],
            keys=self.keys[:rows],
            documents=self.documents[:rows],
            domains=self.domains[:rows],
            lengths=None if self.lengths is None else self.lengths[:rows],
        )

    def check(self, vocabulary: int) -> None:
        """Raise ShapeError or VocabularyError unless the batch is whole and its ids are known."""
        rows = self.ids.shape[0]
        if self.ids.ndim != 2 or 0 in self.ids.shape:
            raise ShapeError(f"token batch: ids have shape {self.ids.shape}")
        if self.mask.shape != self.ids.shape:
            raise ShapeError(f"token batch: mask {self.mask.shape} for ids {self.ids.shape}")
        if self.keys.shape != (rows, 16) or not len(self.documents) == len(self.domains) == rows:
            raise ShapeError("token batch: keys, documents or domains do not match the rows")
        if self.lengths is not None and (
            self.lengths.shape != (rows,) or (self.lengths < lengths_of(self.mask)).any()
        ):
            raise ShapeError("token batch: lengths do not match the rows")
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
class Choice:
    """One of the choices that a corpus was made by: the setting's name and its value as text."""

    name: bounds.Text
    value: bounds.Text


@dataclass(frozen=True, slots=True)
class CorpusRecord:
    """What is known of a corpus; rewritten with ``sealed`` and totals once all ends are there.

    tokenizer: its name or folder. tokenizer_id: a hash of what it does. vocabulary: how many ids it
    has. largest_id: the largest that text or a row of ids may hold. special_ids: ids that no text
    can become. bos_id: the id put before every row, None if none is. context: tokens per row.
    choices: further settings that differ from their defaults. batches, rows, tokens (those that
    count), documents and skipped (documents that could not be used) are totals of a sealed corpus.
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
    largest_id: bounds.TokenId | None = codec.later(None)
    choices: Annotated[tuple[Choice, ...], MaxLen(64)] = codec.later(())
    sealed: bool = False
    batches: bounds.Count = 0
    rows: bounds.Count = 0
    tokens: bounds.Count = 0
    documents: bounds.Count = 0
    skipped: bounds.Count = codec.later(0)

    def limit_of_ids(self) -> int:
        """Return the number that all ids of the corpus are below."""
        return self.vocabulary if self.largest_id is None else self.largest_id + 1


@dataclass(frozen=True, slots=True)
class TokenForms:
    """What some ids show as in one place of a text. tokens: the bytes of each of ``ids``."""

    ids: Annotated[tuple[bounds.TokenId, ...], MaxLen(bounds.MAX_VOCABULARY)] = ()
    tokens: Annotated[tuple[bytes, ...], MaxLen(bounds.MAX_VOCABULARY)] = ()

    def over(self, tokens: Sequence[bytes]) -> list[bytes]:
        """Return the bytes of all ids in this place. tokens: those of each id elsewhere."""
        found = list(tokens)
        for number, token in zip(self.ids, self.tokens, strict=True):
            found[number] = token
        return found


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The bytes that each token id shows as, so that readers need no tokenizer.

    first, last, alone: of the ids that show as something else at the beginning or the end of a
    text, or as all of it: most decoders leave a space out there.
    """

    corpus: Name
    tokens: Annotated[tuple[bytes, ...], MaxLen(bounds.MAX_VOCABULARY)]
    first: TokenForms = codec.later(TokenForms())
    last: TokenForms = codec.later(TokenForms())
    alone: TokenForms = codec.later(TokenForms())

    @property
    def forms(self) -> tuple[TokenForms, TokenForms, TokenForms]:
        """What ids show as at the beginning, at the end, and alone."""
        return self.first, self.last, self.alone


def lengths_of(mask: AnyArray) -> I32:
    """Return how many positions of each row lie before its last True, that one included, [row]."""
    width = mask.shape[1]
    lengths = np.where(mask.any(axis=1), width - np.argmax(mask[:, ::-1], axis=1), 0)
    return lengths.astype(np.int32)


def sample_keys(
    tokenizer_id: str, ids: AnyArray, mask: AnyArray, lengths: AnyArray | None = None
) -> U8:
    """Return the 128-bit keys of rows, [row, 16]; ids and mask are [row, position].

    BLAKE2b over tokenizer id, ids (u32 little end) and mask. Ids of padding are counted as 0, so
    that the key does not depend on the padding token. lengths: of rows with tokens that do not
    count, whose ids are part of the key all the same; what is within them is hashed as well then.
    """
    prefix = hashlib.blake2b(tokenizer_id.encode() + b"\0", digest_size=16)
    present = mask if lengths is None else np.arange(mask.shape[1]) < lengths[:, None]
    tokens = np.where(present, ids, 0).astype("<u4")
    packed = np.packbits(mask, axis=1)
    partly = (present != mask).any(axis=1)
    packed_present = np.packbits(present, axis=1) if partly.any() else packed
    keys = bytearray()
    for row, (row_tokens, row_mask) in enumerate(zip(tokens, packed, strict=True)):
        digest = prefix.copy()
        digest.update(row_tokens.data)
        digest.update(row_mask.data)
        if partly[row]:
            digest.update(packed_present[row].data)
        keys += digest.digest()
    return np.frombuffer(bytes(keys), np.uint8).reshape(len(tokens), 16)
