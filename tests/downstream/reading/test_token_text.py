"""Token bytes as text for people."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from downstream.reading.token_text import Piece, readable


def shown(*tokens: bytes) -> list[str]:
    return ["".join(piece.text for piece in pieces) for pieces in readable(tokens)]


def test_plain_tokens_show_as_they_are() -> None:
    assert shown(b"the", b" cat") == ["the", " cat"]


def test_the_token_that_completes_a_character_shows_it() -> None:
    assert shown(b"caf\xc3", b"\xa9 a", b"\xe2", b"\x9c", b"\x93!") == [
        "caf⟨c3⟩",
        "⟨a9⟩ a".replace("⟨a9⟩", "é"),
        "⟨e2⟩",
        "⟨9c⟩",
        "✓!",
    ]


def test_a_character_that_is_cut_off_shows_its_bytes() -> None:
    assert shown(b"a", b"\xe2\x9c") == ["a", "⟨e2⟩⟨9c⟩"]
    assert shown(b"\x9c", b"b\xff") == ["⟨9c⟩", "b⟨ff⟩"]


def test_blank_tokens_get_signs_and_spaces_before_words_stay() -> None:
    assert shown(b"\n  ", b"\t", b"  ", b" x\n") == ["⏎··", "→", "··", " x⏎"]
    assert readable([b"\n "])[0] == (Piece("⏎", "break"), Piece("·", "space"))


def test_spaces_stay_beside_a_split_character_too() -> None:
    assert shown(b"an\xc3", b"\xa9 b ", b" ") == ["an⟨c3⟩", "é b ", "·"]


def test_what_could_bend_the_page_is_named() -> None:
    assert shown("a\u202eb\u200d\x00".encode()) == ["a⟨U+202E⟩b⟨U+200D⟩⟨U+0000⟩"]


@given(st.text(max_size=40), st.lists(st.integers(0, 160), max_size=8))
def test_any_cut_keeps_every_visible_character_once(text: str, cuts: list[int]) -> None:
    data = text.encode()
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    tokens = [data[a:b] for a, b in pairwise(bounds)]
    pieces = readable(tokens)
    assert len(pieces) == len(tokens)
    cut = "".join(p.text for token in pieces for p in token if p.kind == "text")
    whole = "".join(p.text for token in readable([data]) for p in token if p.kind == "text")
    assert cut.replace(" ", "") == whole.replace(" ", "")


@given(st.lists(st.binary(max_size=6), max_size=12))
def test_any_bytes_show_something_for_every_token(tokens: list[bytes]) -> None:
    assert [bool(pieces) for pieces in readable(tokens)] == [bool(token) for token in tokens]
