"""Tokens as strings: joined they are the text, wherever it was cut into tokens."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.exporters import token_strings
from downstream.exporters.token_strings import TokenStrings


def strings_of(tokens: list[bytes], monkeypatch: pytest.MonkeyPatch) -> TokenStrings:
    """Return the strings of a vocabulary, by the tokens' numbers."""
    columns = {"id": range(len(tokens)), "token": pa.array(tokens, pa.binary())}
    monkeypatch.setattr(token_strings, "read_table", lambda *_: pa.table(columns))

    class _Snapshot:
        manifest = None

    return TokenStrings(_Snapshot())  # type: ignore[arg-type]


@given(text=st.text(max_size=30), data=st.data())
def test_tokens_joined_are_the_text_wherever_it_is_cut(text: str, data: st.DataObject) -> None:
    whole = text.encode("utf-8", "replace")
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    tokens = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = strings_of(tokens, monkeypatch).row(range(len(tokens)))
    assert len(found) == len(tokens)
    assert "".join(found) == whole.decode().replace("\0", "␀")


@given(tokens=st.lists(st.binary(max_size=5), min_size=1, max_size=8))
def test_any_bytes_give_a_string_per_token_and_no_byte_is_dropped(tokens: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = strings_of(tokens, monkeypatch).row(range(len(tokens)))
    assert len(found) == len(tokens)
    plain = b"".join(tokens).decode(errors="replace").replace("\0", "␀")
    assert "".join(found).replace("\ufffd", "") == plain.replace("\ufffd", "")


def test_a_split_character_stands_with_the_token_that_completes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strings = strings_of([b"caf", b"\xc3", b"\xa9 ", b"\xff", b"!"], monkeypatch)
    assert strings.row([0, 1, 2, 3, 4]) == ["caf", "", "é ", "\ufffd", "!"]
    assert strings.row([0, 1]) == ["caf", "\ufffd"]
    assert strings.row([9]) == ["⟨id 9⟩"]
