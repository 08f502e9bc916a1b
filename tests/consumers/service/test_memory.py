"""What the two sides keep must not grow with the text. Counted by Python's own allocator, so that
neither the machine nor other tests matter."""

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from consumers.activations.standin import StandInEngine
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan
from consumers.selection.worker import ActivationWorker
from consumers.snapshots.sample_reading import sample_tables
from streams import topics
from streams.records.corpus import TokenBatch
from streams.transport.client import StoredRecord
from streams.wire import codec
from tests import factories
from tests.published import kind_and_sequence

ROWS, CONTEXT, LONG = 4, 6, 512
BATCHES = 100
MOST_A_BATCH = 256  # bytes; hits that wait to be merged come and go


def batches(count: int, context: int = CONTEXT) -> Iterator[TokenBatch]:
    """Yield batches of one partition, all rows different; nothing keeps those that were."""
    for sequence in range(count):
        random = np.random.default_rng(sequence)
        ids = random.integers(0, factories.VOCABULARY, (ROWS, context))
        yield factories.batch(ids, [context] * ROWS, 0, sequence)


@pytest.fixture(autouse=True)
def frozen_objects() -> Iterator[None]:
    """Let collections pass over what the libraries and other tests have made: they are many."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@dataclass
class Sides:
    """A worker of each side, the one's records handed to the other, states written now and then."""

    plan: Plan

    def __post_init__(self) -> None:
        self.worker = ActivationWorker(self.plan, StandInEngine(self.plan, density=0.5))
        self.overlay = Overlay(self.plan)
        self.offsets = [0] * self.plan.run.shards
        for shard in range(self.plan.run.shards):
            self.overlay.load(shard, ())

    def take(self, batch: TokenBatch) -> int:
        """Carry a batch through both sides; return the bytes in between."""
        size = 0
        headers = dict(kind_and_sequence(topics.BATCH, batch.sequence))
        for record in self.worker.handle(0, codec.encode(batch), headers).records:
            found = partial(self.plan, record.shard, record.kind, record.value)
            self.overlay.apply(record.shard, self.offsets[record.shard], found)
            self.offsets[record.shard] += 1
            size += len(record.value)
        if batch.sequence % 10 == 0:
            for _ in self.overlay.flush():
                pass
        return size


def test_neither_side_keeps_more_after_four_times_the_text() -> None:
    """Growth from N batches to 4 N, of what is kept and of the peak in between."""
    plan = factories.plan(partitions=1, k=3)
    first = Sides(plan)
    for batch in batches(BATCHES):  # loops are compiled at their first use, and kept
        first.take(batch)
    sides = Sides(plan)
    sent, kept, peaks = 0, {}, {}
    tracemalloc.start()
    try:
        for batch in batches(4 * BATCHES):
            sent += sides.take(batch)
            done = batch.sequence + 1
            if done % 10 == 0:
                gc.collect()  # when the collector runs by itself depends on the whole process
            if done in (BATCHES, 4 * BATCHES):
                kept[done], peaks[done] = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    hits = sum(len(s.hits) for shard in range(3) for s in sides.overlay.states(shard))
    assert hits == plan.clusters * plan.tables * plan.run.k  # full, so that nothing has to grow
    assert sent > 4 * BATCHES * MOST_A_BATCH  # so that a batch kept would be seen
    assert kept[4 * BATCHES] < kept[BATCHES] + 3 * BATCHES * MOST_A_BATCH
    assert peaks[4 * BATCHES] < peaks[BATCHES] + 3 * BATCHES * MOST_A_BATCH


class Corpus:
    """A client that makes the records of a corpus as they are read."""

    def read(self, topic: str, partition: int, start: int = 0) -> Iterator[StoredRecord]:
        for offset, batch in enumerate(batches(4 * BATCHES, LONG)):
            if offset >= start:
                headers = kind_and_sequence(topics.BATCH, offset)
                value = codec.encode(batch)
                yield StoredRecord(topic, partition, offset, 0, None, value, headers)


def peak_of_reading(count: int) -> int:
    """Return the most bytes in use while the samples of so many batches are read and dropped."""
    sequence, row = np.divmod(np.arange(count * ROWS), ROWS)
    rows = 0
    corpus: Any = Corpus()
    tracemalloc.start()
    try:
        for piece in sample_tables(corpus, "text", np.zeros_like(row), sequence, row):
            rows += len(piece)
            gc.collect()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        assert rows == count * ROWS


def test_reading_samples_takes_as_much_for_four_times_as_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for the numbers of the places and batches themselves."""
    monkeypatch.setattr("consumers.snapshots.sample_reading._ROWS_PER_PIECE", 16)
    peak_of_reading(BATCHES)  # what is kept after a first use
    few, many = peak_of_reading(BATCHES), peak_of_reading(4 * BATCHES)
    assert many - few < 3 * BATCHES * (ROWS * 60 + 250)
    assert ROWS * LONG * 4 > 10 * (ROWS * 60 + 250)  # what the ids of a batch would add to it
