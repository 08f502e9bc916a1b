from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.snapshots.sample_reading import batch_table, batches_at, sample_tables
from consumers.snapshots.samples import sample_of, samples_table
from streams import topics
from streams.errors import BrokerError, LostBatchError, SnapshotError
from streams.snapshots.tables import SAMPLES
from streams.transport.client import StoredRecord
from streams.wire import codec
from tests import factories
from tests.published import kind_and_sequence
from tests.streams.strategies import quick

BATCHES = factories.batches(partitions=2, per_partition=8)


@dataclass
class Log:
    """A client that has records of one corpus and notes what it was asked for."""

    values: dict[int, list[tuple[bytes | None, int]]]
    asked: list[tuple[int, int]]
    given: int = 0

    def read(self, topic: str, partition: int, start: int = 0) -> Iterator[StoredRecord]:
        assert topic == "tokens.text"
        self.asked.append((partition, start))
        for offset, (value, sequence) in list(enumerate(self.values[partition]))[start:]:
            self.given += 1
            headers = kind_and_sequence(topics.BATCH, sequence)
            yield StoredRecord(topic, partition, offset, 0, None, value, headers)


def log(batches=BATCHES, junk=()) -> Any:
    values: dict[int, list[tuple[bytes | None, int]]] = {0: [], 1: []}
    for batch in batches:
        values[batch.partition].append((codec.encode(batch), batch.sequence))
    for partition, offset, value, sequence in junk:
        values[partition].insert(offset, (value, sequence))
    return Log(values, [])


def columns(places):
    found = np.array(sorted(places), np.int64).reshape(-1, 3)
    return found[:, 0], found[:, 1], found[:, 2]


places = st.sets(st.tuples(st.integers(0, 1), st.integers(0, 7), st.integers(0, 3)))


@quick
@given(places, st.integers(0, 9), st.integers(1, 6))
def test_samples_are_the_rows_at_the_places_as_the_oracle_takes_them(wanted, stretch, size):
    by_place = {(b.partition, b.sequence): b for b in BATCHES}
    expected = samples_table({p: sample_of(by_place[p[:2]], p[2]) for p in wanted})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consumers.snapshots.sample_reading._STRETCH", stretch)
        patch.setattr("consumers.snapshots.sample_reading._ROWS_PER_PIECE", size)
        found = list(sample_tables(log(), "text", *columns(wanted)))
    assert (
        pa.concat_tables([SAMPLES.schema.empty_table(), *found]).to_pylist() == expected.to_pylist()
    )
    assert all(len(piece) < size + 4 for piece in found)


def test_a_row_without_a_token_has_no_ids_and_padding_inside_stays():
    batch = factories.batch([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [3, 3, 0])
    mask = np.array([[True, False, True], [False, True, False], [False] * 3])
    found = batch_table(replace(batch, mask=mask), np.arange(3))
    assert found["ids"].to_pylist() == [[1, 2, 3], [4, 5], []]


@quick
@given(
    st.sets(st.integers(0, 7), min_size=1).map(sorted),
    st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 7)), max_size=6),
    st.integers(0, 4),
)
def test_doubles_and_junk_in_the_log_do_not_matter(sequences, others, stretch):
    """Whatever is put between, a double comes behind its batch: so the producer leaves it."""
    ours = [b for b in BATCHES if b.partition == 0]
    values = log().values
    for offset, is_junk, sequence in others:
        behind = 1 + [s for _, s in values[0]].index(sequence)
        double = codec.encode(ours[sequence]), sequence
        values[0].insert(*(offset, (b"junk", sequence)) if is_junk else (behind, double))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consumers.snapshots.sample_reading._STRETCH", stretch)
        found = list(batches_at(Log(values, []), "text", 0, np.array(sequences)))  # type: ignore[arg-type]
    assert [b.sequence for b in found] == sequences
    assert all((b.ids == ours[b.sequence].ids).all() for b in found)


def test_long_stretches_that_nothing_asks_for_are_passed_over(monkeypatch):
    monkeypatch.setattr("consumers.snapshots.sample_reading._STRETCH", 2)
    source = log()
    list(batches_at(source, "text", 0, np.array([1, 2, 7])))
    assert source.asked == [(0, 1), (0, 7)]
    assert source.given == 3


def test_a_jump_takes_the_doubles_seen_so_far_into_account(monkeypatch):
    monkeypatch.setattr("consumers.snapshots.sample_reading._STRETCH", 2)
    first = (codec.encode(BATCHES[0]), 0)
    source = log(junk=[(0, 0, *first), (0, 0, None, 3)])
    source.values[0].insert(1, (b"junk", 99))
    assert [b.sequence for b in batches_at(source, "text", 0, np.array([1, 6]))] == [1, 6]
    assert source.asked == [(0, 1), (0, 9)]


@pytest.mark.parametrize("wanted", [[(1, 8, 0)], [(0, 3, 4)], [(0, 1, 0), (0, 99, 0)]])
def test_what_the_corpus_no_longer_holds_is_named(wanted):
    partition, sequence, _ = wanted[-1]
    line = f"corpus text no longer holds batch {sequence} of partition {partition}"
    with pytest.raises(SnapshotError, match=line):
        list(sample_tables(log(), "text", *columns(wanted)))


def test_a_batch_that_says_it_stands_elsewhere_is_none():
    elsewhere = codec.encode(replace(BATCHES[0], sequence=5))
    source = log(junk=[(0, 0, elsewhere, 0)])
    (found,) = batches_at(source, "text", 0, np.array([0]))
    assert found.sequence == 0


@dataclass
class CutLog(Log):
    """Loses records up to an offset, or its topic, once so many records were read."""

    after: int = 3
    kept: int | None = None

    def read(self, topic: str, partition: int, start: int = 0) -> Iterator[StoredRecord]:
        for number, record in enumerate(super().read(topic, partition, start)):
            if number == self.after and start < (self.kept or 99):
                raise BrokerError("the offset is out of range")
            yield record

    def topics(self) -> dict[str, int]:
        return {} if self.kept is None else {"tokens.text": 2}

    def starts(self, topic: str) -> dict[int, int]:
        return {0: self.kept or 0, 1: 0}


def sequences(client: Log, wanted: list[int]) -> list[int]:
    found = batches_at(client, "text", 0, np.array(wanted))  # type: ignore[arg-type]
    return [batch.sequence for batch in found]


def test_a_log_that_is_cut_while_it_is_read_is_read_on_where_it_then_begins():
    assert sequences(CutLog(log().values, [], kept=5), [0, 1, 6, 7]) == [0, 1, 6, 7]
    with pytest.raises(LostBatchError, match=r"no longer holds batch 4 .*start a new run"):
        sequences(CutLog(log().values, [], kept=5), [0, 1, 4, 7])


def test_batches_of_a_deleted_corpus_are_lost_however_often_the_broker_is_asked():
    with pytest.raises(LostBatchError, match="corpus text is not on the broker any more"):
        sequences(CutLog(log().values, []), [0, 7])


def test_a_broker_that_is_away_has_lost_nothing():
    with pytest.raises(BrokerError, match="out of range"):
        sequences(CutLog(log().values, [], kept=1), [0, 7])
