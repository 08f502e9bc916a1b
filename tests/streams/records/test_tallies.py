from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from streams.errors import ShapeError
from streams.records.partials import Statistics
from streams.records.tallies import pack_tallies, unpack_tallies
from streams.wire import codec
from tests.golden import version_2, version_2_packed
from tests.streams.same import bits
from tests.streams.strategies import quick, records

TALLIES = (version_2.tally(3, 7), version_2_packed.tally(4, 2**40), version_2.tally(9, 1))
PACKED = pack_tallies(TALLIES)


def test_tallies_come_back_to_the_last_bit():
    assert bits(unpack_tallies(PACKED)) == bits(TALLIES)
    assert bits(unpack_tallies(pack_tallies(()))) == bits(())


@quick
@given(records(Statistics))
def test_statistics_travel_whatever_is_in_them(statistics):
    assert bits(codec.decode(Statistics, codec.encode_packed(statistics))) == bits(statistics)


def empty(tally):
    none = {n: getattr(tally, n)[:0] for n in ("count_at", "count", "sum_at", "sum", "low", "high")}
    return replace(tally, **none)


@pytest.mark.parametrize("at", range(3))
def test_a_tally_without_anything_keeps_its_place(at):
    tallies = tuple(empty(t) if n == at else t for n, t in enumerate(TALLIES))
    assert bits(unpack_tallies(pack_tallies(tallies))) == bits(tallies)


@pytest.mark.parametrize("name", ["count_at", "sum_at"])
def test_falling_addresses_have_no_packed_form(name):
    falling = replace(TALLIES[0], **{name: getattr(TALLIES[0], name)[::-1]})
    assert pack_tallies((falling,)) is None
    assert pack_tallies((TALLIES[1], falling)) is None


@pytest.mark.parametrize("name", ["count_at", "count", "sum_at", "sum", "low", "high"])
def test_columns_of_other_lengths_have_no_packed_form(name):
    short = replace(TALLIES[0], **{name: getattr(TALLIES[0], name)[1:]})
    long = replace(TALLIES[1], **{name: np.repeat(getattr(TALLIES[1], name), 2)})
    assert pack_tallies((short,)) is None
    assert pack_tallies((short, long)) is None
    deep = replace(TALLIES[0], **{name: getattr(TALLIES[0], name)[:, None]})
    assert pack_tallies((deep,)) is None


@pytest.mark.parametrize("name", PACKED.__dataclass_fields__)
def test_packed_columns_that_do_not_fit_are_refused(name):
    column = getattr(PACKED, name)
    for changed in (column[1:], column[:, None], np.repeat(column, 2)):
        with pytest.raises(ShapeError, match="do not fit each other"):
            unpack_tallies(replace(PACKED, **{name: changed}))


def test_an_address_that_does_not_fit_32_bits_is_refused():
    steps = np.full_like(PACKED.count_step, 2**32 - 1)
    with pytest.raises(ShapeError, match="too large"):
        unpack_tallies(replace(PACKED, count_step=steps))
