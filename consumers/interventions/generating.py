"""Continuations of prompts, plain and changed, side by side in one batch."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from consumers.interventions.batches import changes_of, padded
from consumers.interventions.changes import ChangedRow
from consumers.interventions.intervener import Intervener
from consumers.models.key_values import token_bytes
from streams.arrays import I64
from streams.errors import NotFiniteError, QuestionError

Choose = Callable[[Tensor, Sequence[int]], I64]
"""Gives the next token of each of some rows, [row], by logits [row, vocabulary]."""

_log = logging.getLogger(__name__)
_BUDGET = 2**30  # bytes of a batch's keys and values


def continuations(
    intervener: Intervener,
    rows: Sequence[ChangedRow],
    tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    most: int | None = None,
) -> list[ChangedRow]:
    """Return rows with so many tokens more, each with its changes made at the new ones, too.

    temperature: 0 takes the likeliest token, the lower id of equals. seed: of what is drawn else;
    row n draws the same numbers whatever else is in the batch. most: rows of a batch; None for what
    fits a gigabyte of keys and values. Ids that the tokenizer does not have are not taken. Raises
    QuestionError for what is longer than the model takes, NotFiniteError for logits that are NaN.

    Prompts go through the model once, and then each new token alone, with the keys and values of
    those before it; where that cannot be, whole rows are read again for each token, and it is said.
    """
    longest = max(len(row.ids) for row in rows) + tokens
    context = int(getattr(intervener.asker.engine.model, "context", longest))
    if longest > context:
        raise QuestionError(f"{longest:,} tokens are wanted, and the model takes {context:,}")
    choice = _Choice(
        known=intervener.asker.tokenizer.size,  # a model may have more ids, which mean nothing
        temperature=temperature,
        chance=[torch.Generator().manual_seed(seed * 1_000_003 + n) for n in range(len(rows))],
    )
    if fault := intervener.cache_fault(rows):
        _log.warning("generating without cached keys and values, which is slower: %s", fault)
        return without_cache(intervener, rows, tokens, choice.next, most)
    grown = list(rows)
    for numbers in _batches(intervener, rows, tokens, most):
        batch = [rows[n] for n in numbers]
        found = with_cache(intervener, batch, tokens, choice.of(numbers).next)
        for n, row in zip(numbers, found, strict=True):
            grown[n] = row
    return grown


@dataclass(frozen=True, slots=True)
class _Choice:
    """How a token is chosen. known: ids that may be. chance: of each row."""

    known: int
    temperature: float
    chance: Sequence[torch.Generator]

    def of(self, numbers: Sequence[int]) -> "_Choice":
        """Return the choice for some of the rows."""
        return _Choice(self.known, self.temperature, [self.chance[n] for n in numbers])

    def next(self, logits: Tensor, rows: Sequence[int]) -> I64:
        """Return the next token of each of some rows, [row], by logits [row, vocabulary]."""
        logits = logits[:, : self.known].float()
        if not bool(logits.isfinite().all()):
            raise NotFiniteError("the logits of a continuation", "try a smaller strength")
        if self.temperature > 0:
            weights = (logits.cpu() / self.temperature).softmax(-1)
            drawn = zip(weights, rows, strict=True)
            tokens = [torch.multinomial(one, 1, generator=self.chance[n]) for one, n in drawn]
            return torch.cat(tokens).numpy()
        ids = torch.arange(logits.shape[1], device=logits.device)
        likeliest = logits == logits.amax(-1, keepdim=True)
        return torch.where(likeliest, ids, self.known).amin(-1).cpu().numpy()


def _batches(
    intervener: Intervener, rows: Sequence[ChangedRow], tokens: int, most: int | None
) -> Iterator[list[int]]:
    """Yield the numbers of rows that go through the model together, those of like length.

    The shortest waits for the longest, a token at a time: by less than it is continued by.
    """
    lengths = [len(row.ids) for row in rows]
    left = sorted(range(len(rows)), key=lengths.__getitem__)
    each = token_bytes(intervener.asker.engine.model)
    while left:
        reach = lengths[left[0]] + tokens
        size = most or max(1, _BUDGET // (each * (reach + tokens)))
        batch = [n for n in left[:size] if lengths[n] <= reach]
        yield batch
        left = left[len(batch) :]


def with_cache(
    intervener: Intervener, rows: Sequence[ChangedRow], tokens: int, choose: Choose
) -> list[ChangedRow]:
    """Return rows with so many tokens more, read once each.

    No row is padded: what all of them have goes first, then a token at a time, that of its prompt
    where a row still has one. So every token has its own position and sees all before it, which a
    sliding window over padded rows would not give.
    """
    model = intervener.asker.engine.model
    lengths = np.array([len(row.ids) for row in rows])
    grown = [row.longer(np.zeros(tokens, np.int64), bool(row.changes)) for row in rows]
    width = int(lengths.max()) + tokens
    ids = padded(grown, width)
    changes = changes_of(grown, width, intervener.writer, model.device)
    past, at = None, 0
    for stop in range(int(lengths.min()), width):
        given = torch.from_numpy(ids[:, at:stop]).to(model.device)
        logits, past = model.extend(given, changes.interventions(slice(at, stop)), past)
        due = np.flatnonzero((lengths <= stop) & (stop < lengths + tokens))
        if len(due):
            ids[due, stop] = choose(logits[torch.from_numpy(due)], due.tolist())
        at = stop
    return [ChangedRow(ids[n, : len(row.ids)], row.at, row.changes) for n, row in enumerate(grown)]


def without_cache(
    intervener: Intervener,
    rows: Sequence[ChangedRow],
    tokens: int,
    choose: Choose,
    most: int | None,
) -> list[ChangedRow]:
    """Return rows with so many tokens more, whole rows being read for each of these."""
    grown = list(rows)
    for _ in range(tokens):
        for n, logits in enumerate(intervener.logits(grown, most)):
            token = choose(logits[-1:], [n])
            grown[n] = grown[n].longer(token, bool(grown[n].changes))
    return grown
