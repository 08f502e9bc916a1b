"""Rows with their changes as interventions at the hooks of a model, many rows at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from consumers.interventions.changes import Change, ChangedRow
from consumers.interventions.writers import Writer
from consumers.models.model import Intervention, Model
from streams.arrays import I64

_BUDGET = 2**28  # bytes of a batch's logits


@dataclass(slots=True, eq=False)
class _Changes:
    """The changes of one source in a batch, n of them.

    row, index: [n]. sets: whether the amount is the new activation, [n]. amount: 0 where nothing is
    changed, [n, token]; at: where something is. read: activations of the features, [n, token],
    once the hook that is read has fired.
    """

    writer: Writer
    row: Tensor
    index: Tensor
    sets: Tensor
    amount: Tensor
    at: Tensor
    read: list[Tensor] = field(default_factory=list)

    def within(self, tokens: slice) -> "_Changes":
        """Return the changes at some tokens of the rows alone."""
        return replace(self, amount=self.amount[:, tokens], at=self.at[:, tokens], read=[])

    def reading(self, values: Tensor) -> Tensor:
        """Note what the features read, and hand the values on."""
        self.read[:] = [self.writer.activations(values.flatten(2)[self.row], self.index)]
        return values

    def writing(self, values: Tensor) -> Tensor:
        """Return values with the changes made; rows without one keep their bits."""
        amount = self.amount
        if self.read:
            amount = torch.where(self.sets[:, None], amount - self.read[0], amount)
        amount = torch.where(self.at, amount, 0.0)
        directions = self.writer.directions(self.index)
        added = amount[:, :, None] * directions[:, None, :]
        flat = values.flatten(2)
        total = torch.zeros_like(flat, dtype=torch.float32).index_add_(0, self.row, added)
        return (flat.float() + total).to(values.dtype).view(values.shape)

    def both(self, values: Tensor) -> Tensor:
        """Return what ``writing`` gives where one hook is read and written."""
        return self.writing(self.reading(values))

    def interventions(self) -> Iterator[Intervention]:
        """Yield what is done at the hooks."""
        reads, writes = self.writer.source.hook, self.writer.hook
        if not bool(self.sets.any()):
            yield Intervention(writes, self.writing)
        elif reads == writes:
            yield Intervention(writes, self.both)
        else:
            yield Intervention(reads, self.reading)
            yield Intervention(writes, self.writing)


@dataclass(frozen=True, slots=True, eq=False)
class RowChanges:
    """All changes of some rows, by source, padded to one width."""

    by_source: Sequence[_Changes]

    def interventions(self, tokens: slice = slice(None)) -> list[Intervention]:
        """Return what makes the changes where a model reads these tokens of each row."""
        return [each for one in self.by_source for each in one.within(tokens).interventions()]


def changes_of(
    rows: Sequence[ChangedRow], width: int, writer_of: Callable[[int], Writer], device: torch.device
) -> RowChanges:
    """Return all changes of some rows, padded to ``width`` tokens.

    Changes of one source see the values as they are; several sources at one hook follow each other.
    """
    by_source: dict[int, list[tuple[int, Change]]] = {}
    for number, row in enumerate(rows):
        for change in row.changes:
            by_source.setdefault(change.source, []).append((number, change))
    found: list[_Changes] = []
    for source, changes in sorted(by_source.items()):
        amount = np.zeros((len(changes), width), np.float32)
        at = np.zeros(amount.shape, bool)
        for n, (number, change) in enumerate(changes):
            tokens = len(rows[number].ids)
            amount[n, :tokens] = change.amounts(tokens)
            at[n, :tokens] = rows[number].at
        found.append(
            _Changes(
                writer=writer_of(source),
                row=torch.tensor([number for number, _ in changes], device=device),
                index=torch.tensor([change.index for _, change in changes], device=device),
                sets=torch.tensor([change.kind == "set" for _, change in changes], device=device),
                amount=torch.from_numpy(amount).to(device),
                at=torch.from_numpy(at).to(device),
            )
        )
    return RowChanges(found)


def padded(rows: Sequence[ChangedRow], width: int) -> I64:
    """Return the ids of rows [row, token], padded on the right with 0."""
    ids = np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = row.ids
    return ids


def logits_of(
    model: Model,
    rows: Sequence[ChangedRow],
    writer_of: Callable[[int], Writer],
    vocabulary: int,
    most: int | None = None,
) -> Iterator[Tensor]:
    """Yield the logits [token, vocabulary] of each row, float32, in their order.

    most: rows of a batch; None for what fits a quarter of a gigabyte of logits. Rows are padded on
    the right, which no token of a causal model sees.
    """
    at = 0
    while at < len(rows):
        longest = max(len(row.ids) for row in rows[at:])
        size = most or max(1, _BUDGET // (4 * vocabulary * longest))
        batch = rows[at : at + size]
        width = max(len(row.ids) for row in batch)
        ids = torch.from_numpy(padded(batch, width)).to(model.device)
        made = changes_of(batch, width, writer_of, model.device).interventions()
        logits = model.logits(ids, made)
        for number, row in enumerate(batch):
            yield logits[number, : len(row.ids)].float()
        at += size
