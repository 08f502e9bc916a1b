"""What a worker does with good batches and with poison: a pure function of bytes and run record."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from consumers.aggregation.overlay import partial
from consumers.selection.worker import ActivationWorker, check_batch
from streams import topics
from streams.errors import NotFiniteError, ShapeError, UndecodableError, VersionError
from streams.errors import VocabularyError as UnknownIdError
from streams.records.corpus import PartitionEnd
from streams.wire import codec
from tests import factories

PLAN = factories.plan(k=1)
BATCHES = [b for b in factories.batches(per_partition=6) if b.partition == 0]


def headers(sequence, kind=topics.BATCH):
    return {topics.KIND: kind, topics.SEQUENCE: str(sequence).encode()}


def worker(engine=None):
    return ActivationWorker(PLAN, engine or factories.DenseEngine(PLAN), clock=lambda: 0.0)


def handled(one, batch):
    return one.handle(batch.partition, codec.encode(batch), headers(batch.sequence))


def tombstones(outcome, partition=0, sequence=0):
    """Return whether an outcome is a tombstone for each shard and nothing else."""
    found = [partial(PLAN, r.shard, r.kind, r.value) for r in outcome.records]
    return len(found) == PLAN.run.shards and all(
        record.shard == shard
        and (record.partition, record.sequence) == (partition, sequence)
        and (record.refused, record.tokens, record.rows, record.tallies) == (True, 0, 0, ())
        and (record.first, record.stop)
        == (PLAN.buckets_of(shard).start, PLAN.buckets_of(shard).stop)
        for shard, record in enumerate(found)
    )


def test_a_batch_becomes_records_for_every_shard():
    outcome = handled(worker(), BATCHES[0])
    assert outcome.error is None
    assert (outcome.rows, outcome.tokens) == (4, int(BATCHES[0].mask.sum()))
    statistics = [r.shard for r in outcome.records if r.kind == topics.STATISTICS]
    assert statistics == [0, 1, 2]
    found = [partial(PLAN, r.shard, r.kind, r.value) for r in outcome.records]
    assert outcome.hits == sum(len(f.hits) for f in found if hasattr(f, "hits"))
    assert outcome.hits > 0


def test_a_batch_that_comes_again_sends_the_same():
    one = worker()
    first = handled(one, BATCHES[0])
    assert handled(one, BATCHES[0]) == first


def test_what_was_seen_keeps_later_hits_at_home():
    one = worker()
    handled(one, BATCHES[0])
    assert handled(one, BATCHES[1]).hits < handled(worker(), BATCHES[1]).hits


@dataclass
class NaN:
    def compute(self, batch, valid):
        raise NotFiniteError("blocks.0")


def changed(**changes: Any) -> bytes:
    return codec.encode(replace(BATCHES[0], **changes))


IDS = BATCHES[0].ids
GOOD = codec.encode(BATCHES[0])
POISON = {
    "nothing": (None, UndecodableError),
    "no bytes": (b"", UndecodableError),
    "random bytes": (b"\x8a\x11junk", VersionError),
    "broken": (b"\2m\xc1", UndecodableError),
    "cut": (GOOD[:-5], UndecodableError),
    "of a newer version": (b"\3" + GOOD[1:], VersionError),
    "of an earlier version": (b"\1" + GOOD[2:], VersionError),
    "another kind": (codec.encode(PartitionEnd("text", 0, 1, 1, 1)), UndecodableError),
    "an id beyond the vocabulary": (
        changed(ids=np.full_like(IDS, 50)),
        UnknownIdError,
    ),
    "a mask of another shape": (changed(mask=BATCHES[0].mask[:, 1:]), ShapeError),
    "ids of one dimension": (changed(ids=IDS[0]), ShapeError),
    "no rows": (changed(ids=IDS[:0], mask=BATCHES[0].mask[:0]), ShapeError),
    "keys of another length": (changed(keys=BATCHES[0].keys[:, :8].copy()), ShapeError),
    "too few documents": (changed(documents=("a",)), ShapeError),
    "too few domains": (changed(domains=()), ShapeError),
    "another partition": (changed(partition=1), ShapeError),
    "another sequence": (changed(sequence=1), ShapeError),
    "another corpus": (changed(corpus="other"), ShapeError),
    "rows beyond the context": (codec.encode(factories.batch([[1] * 7], [7])), ShapeError),
}


@pytest.mark.parametrize("name", POISON)
def test_poison_with_a_sequence_moves_every_chain_and_nothing_else(name):
    value, error = POISON[name]
    one = worker()
    outcome = one.handle(0, value, headers(0))
    assert type(outcome.error) is error
    assert "\n" not in str(outcome.error)
    assert tombstones(outcome)
    assert (outcome.tokens, outcome.rows, outcome.hits) == (0, 0, 0)
    untouched = handled(worker(), BATCHES[1])
    assert handled(one, BATCHES[1]) == untouched


def test_activations_that_are_not_finite_refuse_the_batch():
    outcome = handled(worker(NaN()), BATCHES[0])
    assert str(outcome.error) == "NaN or infinity computed in blocks.0"
    assert tombstones(outcome)


def test_a_batch_may_be_computed_before_the_last_one_is_selected_from():
    one, other = worker(), worker()
    records = [(b.partition, codec.encode(b), headers(b.sequence)) for b in BATCHES]
    computed = [one.compute(*record) for record in records]
    assert [one.select(each) for each in computed] == [other.handle(*r) for r in records]


def test_a_refused_batch_leaves_the_topk_filter_untouched():
    @dataclass
    class Sometimes:
        good: Any

        def compute(self, batch, valid):
            if batch.sequence == 0:
                raise NotFiniteError("blocks.0")
            return self.good.compute(batch, valid)

    one = worker(Sometimes(factories.DenseEngine(PLAN)))
    handled(one, BATCHES[0])
    assert one._topk_filter.inserts == 0
    assert handled(one, BATCHES[1]) == handled(worker(), BATCHES[1])


def test_what_is_no_fault_of_the_record_is_not_caught():
    class Full:
        def compute(self, batch, valid):
            raise MemoryError

    with pytest.raises(MemoryError):
        handled(worker(Full()), BATCHES[0])


@pytest.mark.parametrize("value", [None, b"", b"junk", GOOD])
@pytest.mark.parametrize(
    "found",
    [
        {},
        {topics.KIND: topics.BATCH},
        {topics.SEQUENCE: b""},
        {topics.SEQUENCE: b"-1"},
        {topics.SEQUENCE: b"1.0"},
        {topics.SEQUENCE: b"9" * 19},
        {topics.SEQUENCE: "٣".encode()},
    ],
)
def test_bytes_without_a_sequence_are_no_part_of_the_run(value, found):
    outcome = worker().handle(0, value, found)
    assert outcome.records == ()
    assert str(outcome.error).endswith("name no sequence, so it is no part of a corpus")


def test_the_end_of_a_partition_is_handed_on():
    value = codec.encode(PartitionEnd("text", 1, 6, 24, 99))
    outcome = worker().handle(1, value, headers(6, topics.END))
    found = [partial(PLAN, r.shard, r.kind, r.value) for r in outcome.records]
    assert outcome.error is None
    assert [(end.shard, end.partition, end.batches) for end in found] == [
        (shard, 1, 6) for shard in range(PLAN.run.shards)
    ]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"junk",
        GOOD,
        codec.encode(PartitionEnd("text", 1, 6, 0, 0)),
        codec.encode(PartitionEnd("text", 0, -1, 0, 0)),
        codec.encode(PartitionEnd("other", 0, 6, 0, 0)),
        codec.encode(PartitionEnd("text", 0, 2**63, 0, 0)),
    ],
)
def test_an_end_that_is_none_advances_nothing(value):
    outcome = worker().handle(0, value, headers(6, topics.END))
    assert outcome.error is not None
    assert outcome.records == ()


def test_refusing_depends_on_the_bytes_and_the_run_only():
    busy = worker()
    for batch in BATCHES[1:]:
        handled(busy, batch)
    for value, _ in POISON.values():
        fresh, later = worker().handle(0, value, headers(0)), busy.handle(0, value, headers(0))
        assert (str(fresh.error), fresh.records) == (str(later.error), later.records)


def test_a_whole_batch_passes_its_check():
    for batch in BATCHES:
        check_batch(PLAN, batch, 0, batch.sequence)


def test_a_shorter_row_than_the_context_is_fine():
    outcome = handled(worker(), factories.batch([[1, 2]], [2]))
    assert outcome.error is None
