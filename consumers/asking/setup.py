"""What a model is asked with: everything that activations of a text depend on, from a run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import MaxLen

from streams import bounds
from streams.errors import ChangedPartError
from streams.records.corpus import CorpusRecord
from streams.records.measures import MAXIMUM, measure
from streams.records.runs import Model, RunRecord, Source
from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.tokenizer import Tokenizer

_NAME = "asked"


@dataclass(frozen=True, slots=True)
class Setup:
    """Model, sources and how text becomes rows, as a run fixes them.

    context: tokens of a row, BOS included. bos_id: before every row, None for none. count_bos:
    whether it counts unless its id is masked. special: a special token that a text spells is that
    token. masked_ids, masked_positions: tokens that count as absent. assumed: what no record says
    and was taken, a line each.
    """

    model: Model
    sources: Annotated[tuple[Source, ...], MaxLen(256)]
    context: bounds.Context
    tokenizer: bounds.Text
    tokenizer_id: bounds.Text
    bos_id: bounds.TokenId | None
    count_bos: bool
    special: bool
    masked_ids: Annotated[tuple[bounds.TokenId, ...], MaxLen(bounds.MAX_VOCABULARY)]
    masked_positions: Annotated[tuple[bounds.Position, ...], MaxLen(bounds.MAX_CONTEXT)]
    assumed: Annotated[tuple[bounds.Text, ...], MaxLen(64)] = ()

    def record(self) -> RunRecord:
        """Return a run record from which ``load_engine`` makes the engine; it is written nowhere.

        Features are watched alone, so that each is a cluster; nothing is kept of them.
        """
        threads = self.model.threads or os.cpu_count() or 1
        return RunRecord(
            name=_NAME,
            corpus=_NAME,
            partitions=1,
            context=self.context,
            model=replace(self.model, threads=threads),
            sources=tuple(
                replace(source, singles=True, coactivation=False) for source in self.sources
            ),
            clusterings=(),
            shards=1,
            store="",
            rankings=(measure(MAXIMUM, k=1),),
            masked_ids=np.asarray(self.masked_ids, np.int64),
            masked_positions=np.asarray(self.masked_positions, np.int64),
        )

    def load_tokenizer(self) -> Tokenizer:
        """Return the tokenizer; ChangedPartError if it is not that of the run's texts."""
        found = load_tokenizer(self.tokenizer)
        if found.id != self.tokenizer_id:
            raise ChangedPartError(f"tokenizer {self.tokenizer}")
        return found


def setup_of(run: RunRecord, corpus: CorpusRecord, assumed: Sequence[str] = ()) -> Setup:
    """Return what a model is asked with to answer as a run over a corpus does."""
    return Setup(
        model=run.model,
        sources=run.sources,
        context=run.context,
        tokenizer=corpus.tokenizer,
        tokenizer_id=corpus.tokenizer_id,
        bos_id=corpus.bos_id,
        count_bos=corpus.bos_id in corpus.special_ids,
        special=any((c.name, c.value) == ("special_tokens", "parse") for c in corpus.choices),
        masked_ids=tuple(run.masked_ids.tolist()),
        masked_positions=tuple(run.masked_positions.tolist()),
        assumed=tuple(assumed),
    )
