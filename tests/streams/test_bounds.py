from dataclasses import dataclass, replace
from typing import Annotated

import pytest
from annotated_types import Interval, MaxLen
from pydantic import TypeAdapter, ValidationError

from streams import bounds
from streams.bounds import FieldRule, check_fields, shown
from streams.errors import RecordError, ShapeError
from streams.names import InnerPath, Name
from streams.wire import codec


@dataclass(frozen=True)
class Inner:
    name: Name


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    shards: bounds.Shards = 1
    maybe: bounds.TokenId | None = None
    several: Annotated[tuple[bounds.Label, ...], MaxLen(2)] = ()
    share: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    even: Annotated[int, FieldRule(lambda n: n % 2 == 0, "odd")] = 2
    path: InnerPath = "a/b"


FINE = Outer((Inner("one"),))
WRONG = {
    "is 0: it takes from 1, up to 4,096": {"shards": 0},
    "is 1099511627776: it takes": {"shards": 2**40},
    "is -1: it takes": {"shards": -1},
    "is 4194304: it takes from 0, below 4,194,304": {"maybe": 2**22},
    "has a length of 3: it takes up to 2": {"several": ("a", "b", "c")},
    "has a length of 1,001": {"several": ("a" * 1001,)},
    "is nan: it takes": {"share": float("nan")},
    "is 3, odd": {"even": 3},
    "'../x', no path of a file inside its folder": {"path": "../x"},
    "'../up', no usable name": {"inner": (Inner("../up"),)},
}


@pytest.mark.parametrize(("said", "changes"), WRONG.items(), ids=list(WRONG))
def test_a_record_with_a_field_outside_its_bounds_is_neither_decoded_nor_planned(said, changes):
    wrong = replace(FINE, **changes)
    with pytest.raises(ShapeError) as decoded:
        codec.decode(Outer, codec.encode(wrong))
    with pytest.raises(ShapeError) as checked:
        check_fields(wrong)
    for info in (decoded, checked):
        assert said in str(info.value)
        assert "\n" not in str(info.value)
        assert len(str(info.value)) < 400
    with pytest.raises(ValidationError):
        TypeAdapter(Outer).validate_json(TypeAdapter(Outer).dump_json(wrong))


def test_a_record_within_its_bounds_passes_everywhere():
    assert codec.decode(Outer, codec.encode(FINE)) == FINE
    assert TypeAdapter(Outer).validate_json(TypeAdapter(Outer).dump_json(FINE)) == FINE
    check_fields(FINE)


def test_long_values_are_cut_in_messages():
    assert shown("x" * 10**6) == repr("x" * 80)[:80] + "..."
    assert shown(10**10_000) == "a number of 33,220 bits"
    assert shown(5) == "5"


def test_every_error_of_a_check_is_a_record_error():
    assert issubclass(ShapeError, RecordError)
