"""Sums by key in table values of their own: written less often, and added up exactly once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consumers.aggregation.keyed_states import MOST_FLUSHES, keyed_key
from consumers.aggregation.overlay import Overlay, bucket_key, partial
from consumers.aggregation.shards import new_keyed
from consumers.plan import Plan, make_plan
from consumers.selection.worker import ActivationWorker
from streams import topics
from streams.errors import ShapeError
from streams.records.corpus import PartitionEnd
from streams.records.hits import take
from streams.records.measures import measure
from streams.records.partials import BucketState, SnapshotRequest
from streams.wire import codec
from tests import factories
from tests.streams.same import bits


def made_plan() -> Plan:
    base = factories.run_record(shards=1)
    tokens = measure("tokens@2", budget=4, one_in=1, sketch=2)
    return make_plan(replace(base, statistics=(*base.statistics, tokens)))


PLAN = made_plan()
KEYED = {keyed_key(0, bucket) for bucket in PLAN.buckets_of(0)}


def records() -> list[Any]:
    """Return the partials of a corpus, hits and statistics, and its ends."""
    worker, found = ActivationWorker(PLAN, factories.DenseEngine(PLAN)), []
    batches = factories.batches(per_partition=8, rows=2)
    for batch in batches:
        headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: str(batch.sequence).encode()}
        found += worker.handle(batch.partition, codec.encode(batch), headers).records
    for partition in range(2):
        count = sum(batch.partition == partition for batch in batches)
        end = codec.encode(PartitionEnd("text", partition, count, 0, 0))
        headers = {topics.KIND: topics.END, topics.SEQUENCE: str(count).encode()}
        found += worker.handle(partition, end, headers).records
    return [partial(PLAN, 0, record.kind, record.value) for record in found]


RECORDS = records()


def loaded(table: dict[bytes, bytes]) -> Overlay:
    overlay = Overlay(PLAN)
    overlay.load(0, table.items())
    return overlay


def whole() -> list[BucketState]:
    overlay = loaded({})
    for offset, record in enumerate(RECORDS):
        overlay.apply(0, offset, record)
    assert overlay.is_complete(0)
    return overlay.states(0)


def test_sums_by_key_are_not_written_with_every_flush() -> None:
    overlay, written = loaded({}), []
    for offset, record in enumerate(RECORDS[:-1]):
        overlay.apply(0, offset, record)
        written.append({key for _, key, _ in overlay.flush()} & KEYED)
    assert written[0] == KEYED or written[1] == KEYED
    assert sum(map(bool, written)) < len(written) / 2
    assert any(written[MOST_FLUSHES:])
    overlay.apply(0, len(RECORDS) - 1, RECORDS[-1])
    assert {key for _, key, _ in overlay.flush()} >= KEYED  # whatever was added, at the end


@pytest.mark.parametrize("stop", [3, 9, len(RECORDS) - 1])
def test_a_restart_reads_from_where_the_oldest_value_stands(stop: int) -> None:
    overlay, table = loaded({}), {}
    for offset, record in enumerate(RECORDS[:stop]):
        overlay.apply(0, offset, record)
        table.update({key: value for _, key, value in overlay.flush()})
    again = loaded(table)
    assert again.start(0) <= stop
    for offset in range(again.start(0), len(RECORDS)):
        again.apply(0, offset, RECORDS[offset])
    assert bits(again.states(0)) == bits(whole())


def test_a_state_with_sums_by_key_inside_has_them_added_up_again() -> None:
    states = whole()
    old = {bucket_key(0, state.bucket): codec.encode(state) for state in states}
    assert any(state.keyed for state in states)
    again = loaded(old)
    assert again.start(0) == 0
    assert not any(state.keyed for state in again.states(0))
    for offset, record in enumerate(RECORDS):
        again.apply(0, offset, record)
    assert bits(again.states(0)) == bits(states)


def test_a_snapshot_is_taken_where_all_values_stand_at_one_record() -> None:
    asked, table = SnapshotRequest(PLAN.id, 0, "noon"), dict[bytes, bytes]()
    log = [*RECORDS[:4], asked, *RECORDS[4:9]]
    overlay, given = loaded({}), []
    for offset, record in enumerate(log):
        given += overlay.apply(0, offset, record).requests
        written = {key: value for _, key, value in overlay.flush()}
        table.update({key: v for key, v in written.items() if offset < 2 or key not in KEYED})
    assert given == [asked]
    again = loaded(table)
    start = again.start(0)
    assert start < 4
    later = {offset: again.apply(0, offset, log[offset]).requests for offset in range(start, 10)}
    assert later.pop(9) == (asked,)
    assert set(later.values()) == {()}


def test_a_value_with_more_than_sums_by_key_is_refused() -> None:
    state = next(state for state in whole() if len(state.counts))
    with pytest.raises(ShapeError, match="another layout"):
        loaded({keyed_key(0, state.bucket): codec.encode(state)})


def test_a_value_with_a_hit_beside_its_sums_by_key_is_refused() -> None:
    state = next(state for state in whole() if len(state.hits.table))
    hit = take(state.hits, np.arange(1))
    value = replace(
        new_keyed(PLAN, 0, state.bucket), hits=replace(hit, table=np.zeros_like(hit.table))
    )
    with pytest.raises(ShapeError, match="hits: table 0 of 0"):
        loaded({keyed_key(0, state.bucket): codec.encode(value)})


def test_a_refused_record_is_written_with_the_next_flush() -> None:
    overlay = loaded({})
    for offset, record in enumerate(RECORDS[:9]):
        overlay.apply(0, offset, record)
        list(overlay.flush())
    overlay.pass_over(0, 9)
    table = {key: value for _, key, value in overlay.flush()}
    assert table.keys() >= KEYED
    assert loaded(table).start(0) == 10
