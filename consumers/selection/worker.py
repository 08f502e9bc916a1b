"""What an activation worker does with one record of the corpus, apart from moving bytes.

The worker's only state is what it has seen of the best samples, which decides what need not be
sent. Its two steps may run in two threads, since only the second one touches that state.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from consumers.activations.engine import Activations, DeviceEngine, Engine
from consumers.plan import Plan
from consumers.selection.batch_tally import BatchTally
from consumers.selection.kept import Keeper
from consumers.selection.messages import Outgoing, batch_records, end_records, refused_records
from consumers.selection.selection import Candidates, select, valid_tokens, with_rows
from consumers.selection.topk_filter import TopKFilter
from streams import topics
from streams.arrays import I64, Bool
from streams.errors import RecordError, ShapeError, UndecodableError
from streams.record_headers import kind_in, sequence_in
from streams.records.corpus import PartitionEnd, TokenBatch
from streams.records.hits import Hits
from streams.snapshots.kept_files import ACTIVATIONS
from streams.wire import codec

if TYPE_CHECKING:
    from consumers.activations.device_activations import DeviceActivations
    from consumers.selection.device.selection import DeviceSelector


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a record leads to: records for the shards, in order, and the error if it is refused."""

    records: tuple[Outgoing, ...]
    error: RecordError | None = None
    tokens: int = 0
    rows: int = 0
    hits: int = 0
    select_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Computed:
    """A batch and what the engine found in it. valid: [row, position], the tokens that count."""

    batch: TokenBatch
    valid: Bool
    activations: "Activations | DeviceActivations"


class ActivationWorker:
    """Turns records of a corpus into partials of a run, in two steps: ``compute`` and ``select``.

    What one record needs of the device is over with the first step, so that the device may go on
    with the next record while the second step is under way. Each step sees records in order.
    """

    def __init__(
        self, plan: Plan, engine: Engine, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._clock = clock
        self._topk_filter = TopKFilter(plan.clusters * plan.tables, plan.table_k)
        self._selector: DeviceSelector | None = None
        self._keeper = Keeper(plan) if plan.run.keep == ACTIVATIONS else None

    def handle(self, partition: int, value: bytes | None, headers: Mapping[str, bytes]) -> Outcome:
        """Return what the record at ``partition`` of the corpus leads to."""
        computed = self.compute(partition, value, headers)
        return computed if isinstance(computed, Outcome) else self.select(computed)

    def compute(
        self, partition: int, value: bytes | None, headers: Mapping[str, bytes]
    ) -> Computed | Outcome:
        """Return what the engine finds in a record, or what the record leads to if it is no batch.

        A record that cannot be processed is refused as a whole, before any of it counts anywhere;
        if its header names a sequence, every shard is told, so that its chain goes on.
        """
        sequence = sequence_in(headers)
        try:
            if sequence is None:
                raise UndecodableError("its headers name no sequence, so it is no part of a corpus")
            if kind_in(headers) == topics.END:
                return Outcome(tuple(self._end(partition, value)))
            return self._batch(partition, sequence, value)
        except RecordError as error:
            if sequence is None or kind_in(headers) == topics.END:
                return Outcome((), error)
            if self._keeper is not None:
                self._keeper.keep_nothing(partition, sequence)
            return Outcome(tuple(refused_records(self._plan, partition, sequence)), error)

    def _end(self, partition: int, value: bytes | None) -> Iterator[Outgoing]:
        end = codec.decode(PartitionEnd, value)
        if end.partition != partition or end.batches < 0 or end.corpus != self._plan.run.corpus:
            raise ShapeError("the end of a partition stands in another partition or corpus")
        return end_records(self._plan, end)

    def _batch(self, partition: int, sequence: int, value: bytes | None) -> Computed:
        batch = codec.decode(TokenBatch, value)
        check_batch(self._plan, batch, partition, sequence)
        valid = valid_tokens(self._plan, batch)
        engine = self._engine
        if isinstance(engine, DeviceEngine) and engine.selects_on_device:
            return Computed(batch, valid, engine.compute_on_device(batch, valid))
        return Computed(batch, valid, engine.compute(batch, valid))

    def select(self, computed: Computed) -> Outcome:
        """Return what a computed batch leads to.

        What the run keeps of it is written before. Raises OverflowingSumError if the run's sums
        cannot hold its activities, and StoreError.
        """
        begun, batch = self._clock(), computed.batch
        tally, hits = self._select(batch, computed.valid, computed.activations)
        place = batch.partition, batch.sequence
        records = tuple(batch_records(self._plan, *place, tally, hits))
        return Outcome(
            records,
            tokens=int(batch.mask.sum()),
            rows=len(batch.ids),
            hits=len(hits),
            select_seconds=self._clock() - begun,
        )

    def _select(
        self, batch: TokenBatch, valid: Bool, activations: "Activations | DeviceActivations"
    ) -> tuple[BatchTally, Hits]:
        """Return what a batch adds, selected where its activations are."""
        least = self._topk_filter.least
        if isinstance(activations, Activations):
            found = select(self._plan, batch, valid, activations, least)
            if self._keeper is not None:
                self._keeper.keep(batch, found.tokens)
            return found.tally, with_rows(found, self._winners(found.candidates))
        if self._selector is None:
            # Imports torch, which an engine on a device has imported long since.
            from consumers.selection.device.selection import DeviceSelector

            self._selector = DeviceSelector(self._plan, activations.first.device)
        chosen = self._selector.select(batch, valid, activations, least)
        if self._keeper is not None:
            self._keeper.keep(batch, chosen.tokens_to_host())
        return chosen.tally, chosen.with_rows(self._winners(chosen.candidates))

    def _winners(self, candidates: Candidates) -> I64:
        """Take a validated batch into account and return which of its candidates may matter."""
        self._topk_filter.see(candidates)
        return np.flatnonzero(self._topk_filter.unbeaten(candidates))


def check_batch(plan: Plan, batch: TokenBatch, partition: int, sequence: int) -> None:
    """Raise ShapeError or VocabularyError unless a batch belongs where it stands."""
    batch.check(plan.run.model.vocabulary)
    if (batch.partition, batch.sequence) != (partition, sequence):
        raise ShapeError(
            f"batch {batch.partition}/{batch.sequence} stands at {partition}/{sequence}"
        )
    if batch.corpus != plan.run.corpus:
        raise ShapeError(f"a batch of corpus {batch.corpus!r} in {plan.run.corpus!r}")
    if batch.ids.shape[1] > plan.run.context:
        raise ShapeError(f"rows of {batch.ids.shape[1]} tokens, the run's have {plan.run.context}")
