"""Texts as rows of token ids: cut, begun with a BOS and masked as a run does it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.asking.setup import Setup
from streams.arrays import I64, Bool
from streams.errors import QuestionError
from streams.records.corpus import TokenBatch
from streams.tokenizer.tokenizer import Tokenizer

MAX_TOKENS = 2**18
"""Of all texts of a question: what is active is held until all of them are read."""


@dataclass(frozen=True, slots=True, eq=False)
class TextRows:
    """The rows of texts, in order. ids: int64, of each row without padding.

    text: the text of each row, [row]. first: where each row begins among the tokens of its text,
    [row]. counts: which tokens count, as ids. size: tokens of each text, [text].
    """

    ids: tuple[I64, ...]
    counts: tuple[Bool, ...]
    text: I64
    first: I64
    size: I64

    def last_counted(self) -> I64:
        """Return the last token of each text that counts, [text]; -1 for a text without one."""
        last = np.full(len(self.size), -1, np.int64)
        for text, first, counts in zip(self.text, self.first, self.counts, strict=True):
            if counts.any():
                last[text] = first + np.flatnonzero(counts)[-1]
        return last

    def batches(self, tokens: int, pad: int) -> Iterator[tuple[I64, TokenBatch, Bool]]:
        """Yield row numbers [row], their batch and which of its tokens count [row, position].

        Rows of like length come together, padded on the right to the longest; a batch has about
        ``tokens`` positions. In a causal model no token sees the padding behind it.
        """
        lengths = np.array([len(ids) for ids in self.ids])
        order = np.argsort(-lengths, kind="stable")
        at = 0
        while at < len(order):
            rows = order[at : at + max(1, tokens // int(lengths[order[at]]))]
            yield rows, *self._batch(rows, int(lengths[rows[0]]), pad)
            at += len(rows)

    def _batch(self, rows: I64, width: int, pad: int) -> tuple[TokenBatch, Bool]:
        ids = np.full((len(rows), width), pad, np.uint32)
        mask, valid = np.zeros(ids.shape, bool), np.zeros(ids.shape, bool)
        for at, row in enumerate(rows.tolist()):
            stop = len(self.ids[row])
            ids[at, :stop], mask[at, :stop] = self.ids[row], True
            valid[at, :stop] = self.counts[row]
        keys = np.zeros((len(rows), 16), np.uint8)  # nobody looks for these samples
        names = ("",) * len(rows)
        return TokenBatch("asked", 0, 0, ids, mask, keys, names, names), valid


def joined(parts: Sequence[TextRows]) -> TextRows:
    """Return the rows of the texts of several, one after the other."""
    starts = np.cumsum([0, *(len(part.size) for part in parts)])
    none = np.zeros(0, np.int64)
    return TextRows(
        ids=tuple(ids for part in parts for ids in part.ids),
        counts=tuple(counts for part in parts for counts in part.counts),
        text=np.concatenate(
            [none, *(part.text + at for part, at in zip(parts, starts, strict=False))]
        ),
        first=np.concatenate([none, *(part.first for part in parts)]),
        size=np.concatenate([none, *(part.size for part in parts)]),
    )


def rows_of(
    texts: Sequence[str], tokenizer: Tokenizer, setup: Setup, most: int = MAX_TOKENS
) -> TextRows:
    """Return the rows of texts, each text beginning a row of its own.

    Raises QuestionError for a text without a token, and for more than ``most`` tokens.
    """
    bos = [] if setup.bos_id is None else [setup.bos_id]
    width = setup.context - len(bos)
    ids: list[I64] = []
    counts: list[Bool] = []
    text: list[int] = []
    first: list[int] = []
    sizes: list[int] = []
    for number, found in enumerate(tokenizer.encode(texts, setup.special)):
        encoded = found.astype(np.int64)
        if setup.special and bos and encoded[:1].tolist() == bos:
            encoded = encoded[1:]  # a text that spells its BOS has it already
        if not len(encoded):
            raise QuestionError(f"text {number + 1} has no token")
        size = 0
        for start in range(0, len(encoded), width):
            row = np.r_[np.array(bos, np.int64), encoded[start : start + width]]
            ids.append(row)
            counts.append(_counted(row, setup))
            text.append(number)
            first.append(size)
            size += len(row)
        sizes.append(size)
    if sum(sizes) > most:
        raise QuestionError(
            f"the texts have {sum(sizes):,} tokens, and {most:,} are answered at once: ask "
            "in parts, or make a run of them"
        )
    return TextRows(tuple(ids), tuple(counts), np.array(text), np.array(first), np.array(sizes))


def _counted(row: I64, setup: Setup) -> Bool:
    """Return which tokens of a row a run would count, [token]."""
    counted = ~np.isin(row, setup.masked_ids) & ~np.isin(
        np.arange(len(row)), setup.masked_positions
    )
    if setup.bos_id is not None and not setup.count_bos:
        counted[0] = False
    return counted
