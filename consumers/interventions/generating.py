"""Continuations of prompts, plain and changed, side by side in one batch."""

from collections.abc import Sequence

import torch

from consumers.interventions.changes import ChangedRow
from consumers.interventions.intervener import Intervener
from streams.errors import QuestionError


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
    row n draws the same numbers whatever else is in the batch. most: rows of a batch. All rows go
    through the model together, once for each token; ids that the tokenizer does not have are not
    taken. Raises QuestionError for what is longer than the model takes.
    """
    longest = max(len(row.ids) for row in rows) + tokens
    context = int(getattr(intervener.asker.engine.model, "context", longest))
    if longest > context:
        raise QuestionError(f"{longest:,} tokens are wanted, and the model takes {context:,}")
    chance = [torch.Generator().manual_seed(seed * 1_000_003 + n) for n in range(len(rows))]
    known = intervener.asker.tokenizer.size  # a model may have more ids, which mean nothing
    grown = list(rows)
    for _ in range(tokens):
        found = intervener.logits(grown, most)
        for n, (row, logits) in enumerate(zip(grown, found, strict=True)):
            last = logits[-1, :known].float().cpu()
            if temperature > 0:
                weights = (last / temperature).softmax(-1)
                token = int(torch.multinomial(weights, 1, generator=chance[n]))
            else:
                token = int(last.argmax())
            grown[n] = row.longer(token, bool(row.changes))
    return grown
