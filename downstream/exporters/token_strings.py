"""Tokens as strings for other programs: joined they are the text, characters stay whole."""

from collections.abc import Sequence

import pyarrow as pa

from downstream.reading.examples import ends_of
from downstream.reading.snapshot import Snapshot
from streams.snapshots.table_reading import read_table

_NUL = "\0"
_SIGN_OF_NUL = "\u2400"


class TokenStrings:
    """What the tokens of a row are as strings.

    A character that is split over tokens stands with the token that completes it, and the ones
    before it are empty. Bytes that are no character are U+FFFD. NUL, which databases refuse, is
    U+2400.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        vocabulary = read_table(snapshot.manifest, "vocabulary").sort_by("id").combine_chunks()
        self._columns = {name: vocabulary[name] for name in vocabulary.column_names if name != "id"}
        self._size = len(vocabulary)
        self._known: dict[tuple[str, int], tuple[bytes, str | None]] = {}
        self._whole: dict[int, str] = {}  # tokens that are whole characters wherever they stand

    def row(self, ids: Sequence[int]) -> list[str]:
        """Return a string per token of a row."""
        try:
            return [self._whole[one] for one in ids]
        except KeyError:
            return self._slow_row(ids)

    def _slow_row(self, ids: Sequence[int]) -> list[str]:
        found = [self._shown("token", one) for one in ids]
        for place, at in ends_of(ids).items():
            if place in self._columns:
                found[at] = self._shown(place, ids[at])
        strings = [text for _, text in found]
        if None in strings:
            return _split([data for data, _ in found])
        return [text for text in strings if text is not None]

    def one(self, token_id: int) -> str:
        """Return a token by itself."""
        data, text = self._shown("token", token_id)
        return plain(data.decode(errors="replace")) if text is None else text

    def _shown(self, column: str, token_id: int) -> tuple[bytes, str | None]:
        """Return a token's bytes, and its string unless they are no whole characters."""
        known = self._known.get((column, token_id))
        if known is None:
            known = self._known[column, token_id] = self._read(column, token_id)
            self._note(token_id)
        return known

    def _note(self, token_id: int) -> None:
        """Keep a token's string if the token shows the same in every place of a row."""
        forms = {self._read(column, token_id) for column in self._columns}
        if len(forms) == 1 and (text := forms.pop()[1]) is not None:
            self._whole[token_id] = text

    def _read(self, column: str, token_id: int) -> tuple[bytes, str | None]:
        if not 0 <= token_id < self._size:
            return b"", f"⟨id {token_id}⟩"
        array: pa.ChunkedArray = self._columns[column]
        data: bytes = array[token_id].as_py()
        try:
            return data, plain(data.decode())
        except UnicodeDecodeError:
            return data, None


def plain(text: str) -> str:
    """Return a text without NUL."""
    return text.replace(_NUL, _SIGN_OF_NUL)


def _split(tokens: Sequence[bytes]) -> list[str]:
    """Return the strings of tokens of which some are parts of characters."""
    strings, pending = [""] * len(tokens), b""
    for at, token in enumerate(tokens):
        data = pending + token
        text, pending = _whole(data)
        strings[at] = plain(text)
    if pending:
        strings[-1] += pending.decode(errors="replace")
    return strings


def _whole(data: bytes) -> tuple[str, bytes]:
    """Return the characters in bytes, and the beginning of one that may go on in what follows."""
    try:
        return data.decode(), b""
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":
            return data[: error.start].decode(errors="replace"), data[error.start :]
    text = data.decode(errors="replace")
    for back in range(1, min(4, len(data) + 1)):  # loose bytes before, and a beginning at the end
        try:
            data[-back:].decode()
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                return data[:-back].decode(errors="replace"), data[-back:]
    return text, b""
