from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from streams.errors import ShapeError
from streams.records.partials import Statistics
from streams.records.tallies import KeyedSums, pack_tallies, unpack_tallies
from streams.wire import codec
from tests.golden import version_2, version_2_packed
from tests.streams.same import bits, there
from tests.streams.strategies import quick, records

TALLIES = (version_2.tally(3, 7), version_2_packed.tally(4, 2**40), version_2.tally(9, 1))
PACKED = there(pack_tallies(TALLIES))


def test_tallies_come_back_to_the_last_bit():
    assert bits(unpack_tallies(PACKED)) == bits(TALLIES)
    assert bits(unpack_tallies(there(pack_tallies(())))) == bits(())


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
    assert bits(unpack_tallies(there(pack_tallies(tallies)))) == bits(tallies)


@pytest.mark.parametrize("name", ["count_at", "sum_at"])
def test_falling_addresses_have_no_packed_form(name):
    falling = replace(TALLIES[0], **{name: getattr(TALLIES[0], name)[::-1]})
    assert pack_tallies((falling,)) is None
    assert pack_tallies((TALLIES[1], falling)) is None


@pytest.mark.parametrize("name", ["count_at", "count", "sum_at", "sum", "low", "high"])
def test_columns_of_other_lengths_have_no_packed_form(name):
    short = replace(TALLIES[0], **{name: getattr(TALLIES[0], name)[1:]})
    doubled: Any = np.repeat(getattr(TALLIES[1], name), 2)
    long = replace(TALLIES[1], **{name: doubled})
    assert pack_tallies((short,)) is None
    assert pack_tallies((short, long)) is None
    deep = replace(TALLIES[0], **{name: getattr(TALLIES[0], name)[:, None]})
    assert pack_tallies((deep,)) is None


@pytest.mark.parametrize("name", sorted({*PACKED.__dataclass_fields__} - {"keyed"}))
def test_packed_columns_that_do_not_fit_are_refused(name):
    column = getattr(PACKED, name)
    changes: list[Any] = [column[1:], column[:, None], np.repeat(column, 2)]
    for changed in changes:
        with pytest.raises(ShapeError, match="do not fit each other"):
            unpack_tallies(replace(PACKED, **{name: changed}))


def test_an_address_that_does_not_fit_32_bits_is_refused():
    steps = np.full_like(PACKED.count_step, 2**32 - 1)
    with pytest.raises(ShapeError, match="too large"):
        unpack_tallies(replace(PACKED, count_step=steps))


def keyed(number, *entries):
    """Return keyed sums of two columns from (cluster, key, sums)."""
    cluster, key, value = zip(*entries, strict=True)
    return KeyedSums(
        number, np.array(cluster, np.uint32), np.array(key, np.uint64), np.array(value).reshape(-1)
    )


KEYED = keyed(1, (0, 5, (1, 2)), (0, 2**64 - 1, (3, 4)), (2, 0, (5, 6)))


def test_keyed_sums_come_back_to_the_last_bit():
    tallies = (
        replace(TALLIES[0], keyed=(keyed(0, (7, 1, (1, 1))), KEYED)),
        TALLIES[1],
        replace(TALLIES[2], keyed=(KEYED,)),
    )
    packed = there(pack_tallies(tallies))
    assert bits(unpack_tallies(packed)) == bits(tallies)
    for at, each in enumerate(packed.keyed):
        for name in ("lengths", "cluster", "key", "value"):
            short = replace(each, **{name: getattr(each, name)[1:]})
            changed = (*packed.keyed[:at], short, *packed.keyed[at + 1 :])
            with pytest.raises(ShapeError, match="do not fit"):
                unpack_tallies(replace(packed, keyed=changed))


def test_keyed_sums_that_cannot_come_back_so_have_no_packed_form():
    wide = replace(KEYED, value=KEYED.value[:-1])
    for wrong in ((KEYED, KEYED), (replace(KEYED, number=2), KEYED), (wide,)):
        assert pack_tallies((replace(TALLIES[0], keyed=wrong),)) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (keyed(1, (3, 5, (1, 2))), "beyond 3"),
        (keyed(1, (1, 5, (1, 2)), (0, 5, (1, 2))), "ascending order"),
        (keyed(1, (1, 5, (1, 2)), (1, 5, (1, 2))), "ascending order"),
        (keyed(1, (1, 5, (1, -2))), "do not fit their keys"),
        (keyed(1, (1, 5, (1, 2, 3))), "do not fit their keys"),
        (replace(KEYED, cluster=KEYED.cluster[1:]), "do not fit their keys"),
    ],
)
def test_keyed_sums_of_another_layout_are_refused(wrong, said):
    KEYED.check(2, 3)
    with pytest.raises(ShapeError, match=said):
        wrong.check(2, 3)
