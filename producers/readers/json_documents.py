"""JSON: lines, arrays, single values, and any of them one after the other, by their content."""

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields, document_of
from producers.readers.json_window import JsonWindow
from producers.readers.opening import Opened

_ROW = re.compile(r"\[\s*-?\d")
_CONVERSATION = re.compile(r'\[\s*\{\s*"(?:role|from|content|value)"\s*:')


@dataclass(frozen=True, slots=True)
class Json:
    """JSON files. Arrays are read item by item, so that a file of any size will do.

    by_line: a value that stands alone in a file is named by its line all the same.
    """

    name: str
    suffixes: tuple[str, ...]
    by_line: bool = False

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return whether the first line is JSON, or begins an array or object of several lines."""
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if start[:1] not in (b"{", b"["):
            return False
        if re.match(rb'\{\s*("|\})|\[\s*(["\[{\]\d-]|$)', start) is None:
            return False
        line = start.split(b"\n", 1)[0]
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            # cut by the end of what we see, or spread over lines: its beginning must do
            return re.match(rb'\{\s*"[^"\\]*"\s*:|\[\s*(["\[{\]]|$)', start) is not None
        return True

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield the documents of a file.

        Items of an array are named ``name:number``, other values ``name:line``, and one that stands
        alone ``name``. A broken value is passed over up to the next line, a broken item of an array
        up to the next item; where that cannot be told, all that is left counts as one document
        and its bytes are told.
        """
        text = JsonWindow(file.stream, fields)
        number = 0
        first = True
        while mark := text.peek():
            if mark == "[" and not _is_one_value(text, fields):
                number = yield from self._array(text, file, fields, bad, number)
            else:
                line = text.line
                value, problem = _taken(text)
                if problem:
                    bad.add(f"{file.address} line {line}", problem, text.this_line())
                    text.skip_line()
                else:
                    alone = first and not self.by_line and not text.peek()
                    label = file.name if alone else f"{file.name}:{line}"
                    yield from _document(value, fields, label, bad, f"{file.address} line {line}")
            first = False

    def _array(
        self, text: JsonWindow, file: Opened, fields: Fields, bad: RefusedDocuments, number: int
    ) -> Generator[Document, None, int]:
        """Yield the documents of an array; return the number of its last item."""
        text.move_to(text.at + 1)
        if text.peek() == "]":
            text.move_to(text.at + 1)
            return number
        while True:
            number += 1
            text.peek()
            line = text.line
            where = f"{file.address} line {line}"
            value, problem = _taken(text, within=True)
            if problem:
                data = text.skip_item()
                if data is None:
                    bad.expect_skipped(where, problem)
                    data, size = text.rest()
                    bad.add(where, f"{problem}; with it {size:,} bytes are left unread", data)
                    return number
                bad.add(where, problem, data)
            else:
                yield from _document(value, fields, f"{file.name}:{number}", bad, where)
            mark = text.peek()
            if mark not in (",", "]"):
                where = f"{file.address} line {text.line}"
                bad.expect_skipped(where, _unended(mark))
                bad.add(where, _unended(mark), text.rest()[0])
                return number
            text.move_to(text.at + 1)
            if mark == "]":
                return number


def _taken(text: JsonWindow, within: bool = False) -> tuple[Any, str]:
    """Return (the value here, "") and go behind it, or (None, what is wrong) and stay.

    within: an array, where a comma, a bracket or the end must follow.
    """
    try:
        value, length = text.value()
    except RecursionError:
        return None, "its JSON is nested too deeply"
    except ValueError as error:
        return None, str(error)
    mark = text.following(length) if within else ""
    if mark not in (",", "]", ""):
        return None, _unended(mark)
    text.move_to(text.at + length)
    return value, ""


def _document(
    value: Any, fields: Fields, label: str, bad: RefusedDocuments, where: str
) -> Iterator[Document]:
    try:
        document = document_of(value, fields, label)
    except ValueError as error:
        bad.add(where, str(error), json.dumps(value).encode())
        return
    yield document


def _is_one_value(text: JsonWindow, fields: Fields) -> bool:
    """Return whether the array here is a document: a row of token ids, or a conversation."""
    start = text.ahead(256)
    if fields.messages is not None:
        return _CONVERSATION.match(start) is not None
    return _ROW.match(start) is not None


def _unended(mark: str) -> str:
    return f"it is no valid JSON ({mark or 'the end'!r} where ',' should be)"
