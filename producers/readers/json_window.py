"""A window on a JSON text: values one by one, and the way on behind a broken one."""

import codecs
import json
import re
from typing import Any, BinaryIO

from producers.documents import MAX_BAD_BYTES
from producers.fields import Fields

PIECE = 2**20
LONGEST_WORD = 16
# Python takes up to 75 bytes for a value, however short its JSON is: this many bytes of a document
# for each of them keep what its values take below five times what its text may.
BYTES_PER_VALUE = 16
# How far the end of a broken item is looked for by its brackets.
LONGEST_BROKEN = 2**26
DEEPEST_BROKEN = 2**20
_SPACE = re.compile(r"[ \t\r\n]*")
# Possessive, or each character of a long string would cost memory to come back to.
_STRING = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_MARKS = re.compile(_STRING + r'|[\[\]{},"]')
_VALUES = re.compile(_STRING + r"|[\[\]{},:]")
_OPENING = re.compile(r"\{\s*(" + _STRING + r'\s*:)?|\[\s*\{?|\[|"')
_CLOSES = {"]": "[", "}": "{"}
_DECODER = json.JSONDecoder()


class JsonWindow:
    """Our place in a JSON text; ``line`` counts from 1.

    Bytes that are no text in the encoding come as halves of surrogate pairs, so that only the
    value that holds them is bad. Of a value that is longer than a document may be, no more
    than that is ever in memory, and one that holds too many others is not decoded.
    """

    def __init__(self, file: BinaryIO, fields: Fields) -> None:
        self.file = file
        self.text = ""
        self.at = 0
        self.line = 1
        decoder = codecs.getincrementaldecoder(fields.encoding or "utf-8-sig")
        self._decode = decoder("surrogateescape").decode
        self._ended = False
        self._crowded = False
        self._fields = fields
        self._most = fields.max_document_bytes
        self._most_values = self._most // BYTES_PER_VALUE

    def peek(self) -> str:
        """Return the next character that is no white space, "" at the end."""
        while True:
            space = _SPACE.match(self.text, self.at)
            self.move_to(space.end() if space else self.at)
            if self.at < len(self.text) or not self.grow(PIECE):
                return self.text[self.at : self.at + 1]

    def move_to(self, place: int) -> None:
        """Go on to another place in the text."""
        self.line += self.text.count("\n", self.at, place)
        self.at = place

    def grow(self, size: int) -> bool:
        """Read about ``size`` bytes more and forget what lies behind; at the end return False."""
        if self._ended:
            return False
        data = self.file.read(size)
        self._ended = not data
        more = self._decode(data, self._ended)
        if self._ended and not more:
            return False
        self.text = self.text[self.at :] + more
        self.at = 0
        large = len(self.text) > PIECE
        self._crowded = large and sum(map(self.text.count, ",:[{")) > self._most_values
        return True

    def ahead(self, size: int) -> str:
        """Return the next ``size`` characters, fewer at the end; our place stays."""
        while len(self.text) - self.at < size and self.grow(PIECE):
            pass
        return self.text[self.at : self.at + size]

    def value(self) -> tuple[Any, int]:
        """Return the JSON value that begins here and its length; our place stays before it.

        Raises ValueError or RecursionError if none begins here, or one that is too long.
        """
        while True:
            if self._crowded:
                self._expect_few_values()
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self._is_cut(error) and self._grow_value():
                    continue
                self._expect_text(error.pos + 1)
                place = error.pos - self.at + 1
                raise ValueError(
                    f"it is no valid JSON ({error.msg} at character {place})"
                ) from None
            # A number at the very end may go on in the next piece.
            if end < len(self.text) or not self._grow_value():
                self._expect_text(end)
                if end - self.at > self._most:
                    raise ValueError(self._fields.too_long)
                return value, end - self.at

    def _expect_few_values(self) -> None:
        """Raise ValueError if the part of the value that is here holds too many others."""
        depth = count = 0
        for mark in _VALUES.finditer(self.text, self.at):
            sign = mark[0]
            if sign in "]}":
                depth -= 1
            elif sign in "[{":
                depth += 1
            if depth <= 0:
                return
            count += sign in ",:[{"
            if count > self._most_values:
                raise ValueError(
                    f"it holds more than {self._most_values:,} values, one for every "
                    f"{BYTES_PER_VALUE} bytes of max_document_bytes: split it, or set that higher"
                )

    def _grow_value(self) -> bool:
        """Read more of the value that begins here; at the end of the file return False."""
        size = len(self.text) - self.at
        if size > self._most:
            raise ValueError(self._fields.too_long)
        # A window twice as large each time keeps the cost of further tries linear.
        return self.grow(min(max(PIECE, size), self._most - size + PIECE))

    def following(self, length: int) -> str:
        """Return the first character behind ``length`` others that is no white space, or ""."""
        while True:
            space = _SPACE.match(self.text, self.at + length)
            end = space.end() if space else self.at + length
            endless = end - self.at - length > self._most
            if end < len(self.text) or endless or not self.grow(PIECE):
                return self.text[end : end + 1]

    def this_line(self) -> bytes:
        """Return the line that begins here, the first MiB of it at most; our place stays."""
        while (end := self.text.find("\n", self.at)) < 0:
            if len(self.text) - self.at >= MAX_BAD_BYTES or not self.grow(PIECE):
                end = len(self.text)
                break
        return _bytes(self.text[self.at : min(end + 1, self.at + MAX_BAD_BYTES)])

    def skip_line(self) -> None:
        """Go behind the next line break."""
        while (end := self.text.find("\n", self.at)) < 0:
            self.move_to(len(self.text))
            if not self.grow(PIECE):
                return
        self.move_to(end + 1)

    def skip_item(self) -> bytes | None:
        """Go behind a broken item of an array, to the comma or bracket after it.

        Returns the item; None, without moving, if its end cannot be told.
        """
        end = self._end_by_brackets()
        alike = self._end_by_likeness()
        # A quote that is not closed turns what is text and what is not around up to the next one.
        if end is None or (alike is not None and alike < end and self._in_string(alike)):
            end = alike
        if end is None:
            return None
        passed = self.text[self.at : end]
        self.move_to(end)
        return _bytes(passed)

    def rest(self) -> tuple[bytes, int]:
        """Go to the end; return the first of what was passed over, and how many bytes it was."""
        first = _bytes(self.text[self.at :])
        size = len(first)
        self.move_to(len(self.text))
        while self.grow(PIECE):
            size += len(_bytes(self.text[self.at :]))
            self.move_to(len(self.text))
        return first, size

    def _end_by_brackets(self) -> int | None:
        """Return where the item ends if its brackets and quotes are in order."""
        while True:
            open_ones: list[str] = []
            for mark in _MARKS.finditer(self.text, self.at):
                sign = mark[0]
                if sign == '"':
                    break
                if len(open_ones) > DEEPEST_BROKEN:
                    return None
                if sign in "[{":
                    open_ones.append(sign)
                elif sign in "]}" and open_ones:
                    if open_ones.pop() != _CLOSES[sign]:
                        return None
                elif sign in ",]" and not open_ones:
                    return mark.start()
                elif sign == "}":
                    return None
            size = len(self.text) - self.at
            if size > min(LONGEST_BROKEN, self._most) or not self.grow(max(PIECE, size)):
                return None

    def _end_by_likeness(self) -> int | None:
        """Return where the comma before the next item stands that begins as this one does."""
        opening = _OPENING.match(self.text, self.at)
        if opening is None:
            return None
        alike = re.compile(r",\s*(?=" + r"\s*".join(map(re.escape, opening[0].split())) + ")")
        for comma in alike.finditer(self.text, opening.end()):
            if opening[0] == '"' and "\n" not in comma[0]:
                continue
            try:
                _, end = _DECODER.raw_decode(self.text, comma.end())
            except (ValueError, RecursionError):
                continue
            after = _SPACE.match(self.text, end)
            if self.text[after.end() if after else end :][:1] in (",", "]"):
                return comma.start()
        return None

    def _in_string(self, place: int) -> bool:
        """Return whether a quote is open at a place behind ours."""
        return any(mark[0] == '"' for mark in _MARKS.finditer(self.text, self.at, place + 1))

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Return whether an error may only come from the window's end; others are final."""
        near_the_end = error.pos >= len(self.text) - LONGEST_WORD
        return near_the_end or error.msg.startswith("Unterminated string")

    def _expect_text(self, end: int) -> None:
        part = self.text[self.at : end]
        if part.isascii():
            return
        try:
            part.encode()
        except UnicodeEncodeError as error:
            byte = ord(part[error.start]) - 0xDC00
            raise ValueError(f"it is not UTF-8 (byte 0x{byte:02x})") from None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
