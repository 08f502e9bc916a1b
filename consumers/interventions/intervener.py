"""A loaded model whose features can be changed: logits, effects and generations from it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from consumers.asking.asker import Asker
from consumers.asking.features import find_feature
from consumers.asking.rows import rows_of
from consumers.interventions.batches import logits_of, padded
from consumers.interventions.changes import ChangedRow
from consumers.interventions.writers import Writer, load_writer
from consumers.models.key_values import cache_fault
from streams.arrays import F32, Bool
from streams.errors import QuestionError


@dataclass(frozen=True, slots=True, eq=False)
class Intervener:
    """A model to intervene in; directions of a source are read when they are first needed."""

    asker: Asker
    _writers: dict[int, Writer] = field(default_factory=dict)
    _cache_fault: list[str] = field(default_factory=list)  # once it was looked for

    def feature(self, label: str) -> tuple[int, int]:
        """Return source and index of a feature ``source:index``; QuestionError if there is none."""
        return find_feature(label, self.asker.engine.plan.run.sources)

    def writer(self, source: int) -> Writer:
        """Return a source that can be written to; errors as in ``load_writer``."""
        if source not in self._writers:
            engine = self.asker.engine
            self._writers[source] = load_writer(engine.sources[source], engine.model.device)
        return self._writers[source]

    def rows(self, texts: Sequence[str], at: str = "counted") -> list[ChangedRow]:
        """Return the row of each text, without a change.

        at: where changes will be made: "counted" tokens (those that the run counts), "all", the
        "last" one, or numbers such as "0,3-5". Raises QuestionError for a text beyond the context
        and for a place that is none.
        """
        found = rows_of(texts, self.asker.tokenizer, self.asker.setup)
        if len(found.ids) > len(texts):
            context = self.asker.setup.context
            raise QuestionError(f"a text has more tokens than the context of {context} takes")
        return [
            ChangedRow(ids, _places(at, counts))
            for ids, counts in zip(found.ids, found.counts, strict=True)
        ]

    def logits(self, rows: Sequence[ChangedRow], most: int | None = None) -> list[Tensor]:
        """Return the logits [token, vocabulary] of rows, float32; see ``logits_of``."""
        vocabulary = self.asker.setup.model.vocabulary
        return list(logits_of(self.asker.engine.model, rows, self.writer, vocabulary, most))

    def cache_fault(self, rows: Sequence[ChangedRow]) -> str:
        """Return why rows cannot be continued with cached keys and values; "" if they can."""
        for row in rows:
            for change in row.changes:
                if change.kind == "set" and self.writer(change.source).source.whole_rows:
                    name = self.writer(change.source).source.name
                    return f"features of {name} depend on all tokens of a row"
        if not self._cache_fault:
            vocabulary = self.asker.setup.model.vocabulary
            self._cache_fault.append(cache_fault(self.asker.engine.model, vocabulary))
        return self._cache_fault[0]

    def activations(self, rows: Sequence[ChangedRow], source: int, index: int) -> list[F32]:
        """Return a feature's values at each token of rows, [token], nothing changed."""
        model, writer = self.asker.engine.model, self.writer(source)
        alone = writer.source.whole_rows  # no padding for what depends on all of a row
        size = 1 if alone else max(1, self.asker.setup.model.micro_batch)
        found = []
        with torch.inference_mode():
            for at in range(0, len(rows), size):
                batch = rows[at : at + size]
                ids = torch.from_numpy(padded(batch, max(len(row.ids) for row in batch)))
                hook = writer.source.hook
                values = model.run(ids.to(model.device), [hook])[hook].flatten(2)
                number = torch.full((len(batch),), index, device=model.device)
                read = writer.activations(values, number).cpu().numpy()
                found += [read[n, : len(row.ids)] for n, row in enumerate(batch)]
        return found


_PLACE = re.compile(r"(\d{1,7})(?:-(\d{1,7}))?")


def _places(at: str, counts: Bool) -> Bool:
    """Return which tokens a word or numbers mean, [token]."""
    if at == "counted":
        return counts
    if at == "all":
        return np.ones_like(counts)
    numbers = np.arange(len(counts))
    if at == "last":
        return np.asarray(numbers == np.flatnonzero(counts)[-1:].sum())
    found = np.zeros_like(counts)
    for part in at.split(","):
        matched = _PLACE.fullmatch(part.strip())
        if matched is None:
            raise QuestionError(f"{at!r} is no place: write counted, all, last or 0,3-5")
        first, last = int(matched[1]), int(matched[2] or matched[1])
        found |= (numbers >= first) & (numbers <= last)
    if not found.any():
        raise QuestionError(f"{at!r} is no token of a text of {len(counts)}")
    return found
