import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import topics
from streams.record_headers import headers_of, kind_in, sequence_in
from tests.streams.strategies import quick


@quick
@given(st.binary(), st.integers(0, 10**18 - 1), st.booleans())
def test_what_headers_are_made_of_is_read_from_them(kind: bytes, sequence: int, mapped: bool):
    headers = (*headers_of(kind, sequence), ("another", b""))
    found = dict(headers) if mapped else headers
    assert (kind_in(found), sequence_in(found)) == (kind, sequence)


@quick
@given(st.binary(max_size=25))
def test_any_header_is_a_sequence_or_none(text: bytes):
    found = sequence_in({topics.SEQUENCE: text})
    assert found is None or 0 <= found < 10**18


@pytest.mark.parametrize("text", [b"", b"-3", b"x", b"1.0", b"9" * 19, "²".encode()])
def test_a_header_that_is_no_sequence_is_none(text: bytes):
    assert sequence_in(((topics.SEQUENCE, text),)) is None
    assert sequence_in(()) is None
    assert kind_in(()) == b""
