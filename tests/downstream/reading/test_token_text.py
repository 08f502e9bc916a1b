"""Token bytes as text for people."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from downstream.reading.token_text import Piece, readable, visible

SEEN = ("text", "fragment")


def shown(*tokens: bytes) -> list[str]:
    return ["".join(piece.text for piece in pieces) for pieces in readable(tokens)]


def test_plain_tokens_show_as_they_are() -> None:
    assert shown(b"the", b" cat") == ["the", " cat"]


def test_a_character_over_several_tokens_is_a_fragment_of_each() -> None:
    tokens = readable([b"caf\xc3", b"\xa9 a", b"\xe2", b"\x9c", b"\x93!"])
    assert tokens[0] == (Piece("caf", "text"), Piece("é", "fragment", "é", 0, 2))
    assert tokens[1] == (Piece("", "fragment", "é", 1, 2), Piece(" a", "text"))
    parts = [piece for token in tokens[2:] for piece in token if piece.kind == "fragment"]
    assert [(piece.glyph, piece.part, piece.parts) for piece in parts] == [
        ("✓", part, 3) for part in range(3)
    ]
    assert "".join(shown(b"caf\xc3", b"\xa9 a", b"\xe2", b"\x9c", b"\x93!")) == "café a✓!"


def test_a_split_character_that_shows_nothing_is_named() -> None:
    assert shown(b"a\xe2\x80", b"\xaeb") == ["a⟨e2⟩⟨80⟩", "⟨U+202E⟩b"]


def test_a_character_that_is_cut_off_shows_its_bytes() -> None:
    assert shown(b"a", b"\xe2\x9c") == ["a", "⟨e2⟩⟨9c⟩"]
    assert shown(b"\x9c", b"b\xff") == ["⟨9c⟩", "b⟨ff⟩"]


def test_blank_tokens_get_signs_and_spaces_before_words_stay() -> None:
    assert shown(b"\n  ", b"\t", b"  ", b" x\n") == ["⏎··", "→", "··", " x⏎"]
    assert readable([b"\n "])[0] == (Piece("⏎", "break"), Piece("·", "space"))


def test_spaces_stay_beside_a_split_character_too() -> None:
    assert shown(b"an\xc3", b"\xa9 b ", b" ") == ["ané", " b ", "·"]


def test_what_could_bend_the_page_is_named() -> None:
    assert shown("a\u202eb\u200d\x00".encode()) == ["a⟨U+202E⟩b⟨U+200D⟩⟨U+0000⟩"]


@given(st.text(max_size=40), st.lists(st.integers(0, 160), max_size=8))
def test_any_cut_keeps_every_visible_character_once(text: str, cuts: list[int]) -> None:
    data = text.encode()
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    tokens = [data[a:b] for a, b in pairwise(bounds)]
    pieces = readable(tokens)
    assert len(pieces) == len(tokens)
    cut = "".join(p.text for token in pieces for p in token if p.kind in SEEN)
    whole = "".join(p.text for token in readable([data]) for p in token if p.kind in SEEN)
    assert cut.replace(" ", "") == whole.replace(" ", "")


@given(st.lists(st.binary(max_size=6), max_size=12))
def test_any_bytes_show_something_for_every_token(tokens: list[bytes]) -> None:
    assert [bool(pieces) for pieces in readable(tokens)] == [bool(token) for token in tokens]


@given(st.text(max_size=20))
def test_a_visible_label_holds_nothing_that_bends_the_page(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable() or not text.strip()
    assert visible("a\u202eb\nc") == "a⟨U+202E⟩b⏎c"
    assert visible("plain label é") == "plain label é"
