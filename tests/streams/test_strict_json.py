import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.strict_json import JsonError, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(VALUES)
def test_values_come_back(value):
    assert parse_json(json.dumps(value).encode(), 10**6) == value


@given(st.binary())
def test_any_bytes_are_a_value_or_one_line(data):
    try:
        parse_json(data, 100)
    except JsonError as error:
        if "\n" in str(error):
            raise AssertionError("an error of more than one line") from error


def test_infinity_is_a_number_where_it_may_be():
    assert parse_json(b"[Infinity, 1e999]", 100, finite=False) == [math.inf, math.inf]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands there twice"),
        (b"[NaN]", "holds NaN where a number should be"),
        (b"[-Infinity]", "holds -Infinity"),
        (b"[1e999]", "holds a number that is too large"),
        (b"[" + b"9" * 5000 + b"]", "holds a number of 5,000 digits"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[" * 40 + b"]" * 40, "is nested more than 32 deep"),
        (b'["\\ud800"]', "holds half a surrogate pair"),
        (b'{"\\udc00": 1}', "holds half a surrogate pair"),
        (b"\xff", "is not UTF-8 (byte 0)"),
        (b" " * 100 + b"[]" * 500, "has 1,100 bytes, more than"),
        (b"", "is not JSON"),
        (b"{} {}", "is not JSON"),
    ],
)
def test_what_is_refused(text, said):
    with pytest.raises(JsonError) as info:
        parse_json(text, 1000 if text.startswith(b" ") else 10**6)
    assert said in str(info.value)
