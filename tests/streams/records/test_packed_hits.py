from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import RecordError, ShapeError
from streams.records.hits import Hits, take
from streams.records.packed_hits import pack_hits, unpack_hits
from streams.records.partials import HitsPart
from streams.wire import codec
from tests.golden import version_2_packed
from tests.streams.same import bits, there
from tests.streams.strategies import columns, plain_hits, quick

BATCH = (1, 2**40)
HITS = version_2_packed.hits()
PACKED = there(pack_hits(HITS, *BATCH))


def of_one_batch(hits: Hits) -> Hits:
    """Return hits as one batch has them: sorted by table, one key for each row."""
    hits = take(hits, np.argsort(hits.table, kind="stable"))
    return replace(
        hits,
        partition=np.full(len(hits), 1, np.int32),
        sequence=np.full(len(hits), 2**40, np.int64),
        sample_high=hits.row.astype(np.uint64) * np.uint64(2**63),
        sample_low=~hits.row.astype(np.uint64),
    )


def strongest(hits: Hits) -> Hits:
    """Return hits that stand where their largest absolute value does, the plain way."""
    ends = np.cumsum(hits.rows)
    entries = [list(range(end - rows, end)) for end, rows in zip(ends, hits.rows, strict=True)]
    best = [max(e, key=lambda i: (abs(hits.value[i]), -i)) if e else None for e in entries]
    score = [0.0 if i is None else abs(hits.value[i]) for i in best]
    peak = [0 if i is None else hits.position[i] for i in best]
    return replace(hits, score=np.array(score, np.float32), peak=np.array(peak, np.int32))


@quick
@given(plain_hits)
def test_hits_of_a_batch_come_back_to_the_last_bit(given_hits):
    hits = of_one_batch(columns(given_hits))
    assert bits(unpack_hits(there(pack_hits(hits, *BATCH)), *BATCH)) == bits(hits)


@quick
@given(plain_hits)
def test_hits_at_their_strongest_value_are_not_told(given_hits):
    hits = strongest(of_one_batch(columns(given_hits)))
    packed = there(pack_hits(hits, *BATCH))
    assert len(packed.explicit) == 0
    assert bits(unpack_hits(packed, *BATCH)) == bits(hits)


@quick
@given(plain_hits, st.sampled_from([BATCH, (0, 0)]))
def test_a_part_travels_whatever_is_in_it(given_hits, batch):
    part = HitsPart("run", 0, batch[0], batch[1], columns(given_hits))
    assert bits(codec.decode(HitsPart, codec.encode_packed(part))) == bits(part)


def test_a_key_travels_once_for_each_row():
    assert PACKED.keys.shape == (2, 16)
    assert PACKED.row.tolist() == [7, 300]
    assert PACKED.explicit.tolist() == [3, 4]


@pytest.mark.parametrize(
    "changes",
    [
        {"partition": np.array([1, 1, 1, 1, 0], np.int32)},
        {"sequence": np.array([2**40] * 4 + [0])},
        {"table": np.array([0, 3, 0, 70000, 70000], np.uint32)},
        {"sample_low": np.array([0, 2**63, 2**63, 0, 1], np.uint64)},
    ],
)
def test_other_hits_have_no_packed_form(changes):
    other = replace(HITS, **changes)
    assert pack_hits(other, *BATCH) is None
    data = codec.encode_packed(HitsPart("run", 0, *BATCH, other))
    assert data[:2] == codec.PLAIN
    assert bits(codec.decode(HitsPart, data).hits) == bits(other)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": PACKED.step[1:]}, "step, at, rows do not fit"),
        ({"at": PACKED.at[:, None]}, "step, at, rows do not fit"),
        ({"rows": PACKED.rows[1:]}, "step, at, rows do not fit"),
        ({"member": PACKED.member[1:]}, "member, position, value do not fit"),
        ({"value": PACKED.value[:, None]}, "member, position, value do not fit"),
        ({"score": PACKED.score[1:]}, "explicit, score, peak do not fit"),
        ({"row": PACKED.row[:, None]}, "row do not fit"),
        ({"row": PACKED.row[1:]}, "keys do not fit"),
        ({"keys": PACKED.keys[:, 1:]}, "keys do not fit"),
        ({"at": PACKED.at + np.uint32(1)}, "a row or table lies outside"),
        ({"step": PACKED.step + np.uint32(2**31)}, "a row or table lies outside"),
        ({"rows": PACKED.rows + np.int32(1)}, "rows do not add up"),
        ({"rows": PACKED.rows * np.array([-1, 3, 1, 1, 1], np.int32)}, "rows do not add up"),
        ({"explicit": PACKED.explicit + np.uint32(3)}, "belongs to no hit"),
    ],
)
def test_columns_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ShapeError, match=said):
        unpack_hits(replace(PACKED, **changes), *BATCH)


def test_a_partition_beyond_32_bits_is_refused():
    with pytest.raises(RecordError):
        unpack_hits(PACKED, 2**31, 0)
