"""Which fields of a record hold what, and the document that a record is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from producers.documents import Document, UnusableError
from streams.arrays import U32

TEXT = "text"
MAX_DOCUMENT_BYTES = 2**26
TOKENS = ("input_ids", "tokens")
MASK = "attention_mask"
_LARGEST_ID = 2**32 - 1
# The names that ShareGPT's files have for what everybody else calls role and content.
_ROLES = {"human": "user", "gpt": "assistant", "bing": "assistant", "chatgpt": "assistant"}


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a JSON object, a table's row or a dataset's row hold what.

    A dot leads into a nested field, "meta.text"; in a list it leads into each item, or into one by
    its number. text: None takes "text", or else token ids from "input_ids" or "tokens". tokens,
    messages: token ids or a conversation are read from there instead of text. id, domain: None: no
    such field. tokens_dtype: of files of plain numbers. encoding: of files and of bytes; None:
    files are UTF-8, and bytes are refused. list_separator: goes between the strings of a list;
    None: lists are refused. max_document_bytes: of a document's text, in UTF-8, and of the
    line, item or record that holds it, so that memory is bounded whatever a file holds.
    """

    text: str | None = None
    id: str | None = None
    domain: str | None = None
    tokens: str | None = None
    messages: str | None = None
    tokens_dtype: str | None = None
    encoding: str | None = None
    list_separator: str | None = None
    max_document_bytes: int = MAX_DOCUMENT_BYTES

    @property
    def too_long(self) -> str:
        """What is said of a document that is longer than one may be."""
        return (
            f"it is longer than the {self.max_document_bytes:,} bytes of max_document_bytes: split "
            "it, or set that higher"
        )

    def content(self, record: Iterable[str]) -> str:
        """Return the field that holds the content of a record with these fields at its top."""
        named = self.tokens or self.messages or self.text
        if named is not None:
            return named
        names = set(record)
        return next((name for name in (TEXT, *TOKENS) if name in names), TEXT)

    def columns(self, names: Sequence[str]) -> list[str]:
        """Return the top-level columns to read of a table that has these."""
        wanted = [self.content(names), self.id, self.domain]
        roots = [_root(name, names) for name in wanted if name is not None]
        if self.messages is None and MASK in names:
            roots.append(MASK)
        return list(dict.fromkeys(roots))

    def missing(self, names: Sequence[str]) -> str | None:
        """Return the first field that a table with these columns cannot have, None if none."""
        return next((column for column in self.columns(names) if column not in names), None)


def document_of(record: Any, fields: Fields, fallback: str) -> Document:
    """Return the document that a record holds: an object with the fields, or the bare content.

    fallback: the id of a document whose own is absent, null or empty. Raises UnusableError for
    others.
    """
    if not isinstance(record, Mapping):
        return _content(record, None, fields, "it", fallback, "")
    where = fields.content(record)
    content = _value(record, where)
    name = fallback if fields.id is None else _label(_value(record, fields.id)) or fallback
    domain = "" if fields.domain is None else _label(_value(record, fields.domain))
    mask = record.get(MASK)
    return _content(content, mask, fields, f"field {where!r}", encodable(name), encodable(domain))


def _content(value: Any, mask: Any, fields: Fields, what: str, name: str, domain: str) -> Document:
    """Return the document that a value is. what: what it is called in an error."""
    if fields.messages is not None:
        return Document(name, domain, "", messages=_messages(value, what))
    if fields.tokens is not None or _is_ids(value):
        return Document(name, domain, "", tokens=_tokens(value, mask, what, fields))
    return Document(name, domain, _short(encodable(_text(value, fields, what)), fields))


def _short(text: str, fields: Fields) -> str:
    most = fields.max_document_bytes
    if len(text) > most or (4 * len(text) > most and len(text.encode()) > most):
        raise UnusableError(fields.too_long)
    return text


def _text(value: Any, fields: Fields, what: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return decoded(bytes(value), fields.encoding, what)
    if isinstance(value, list | tuple) and all(isinstance(item, str | bytes) for item in value):
        if fields.list_separator is None:
            raise UnusableError(f"{what} holds a list of texts: set list_separator to join them")
        return fields.list_separator.join(_text(item, fields, what) for item in value)
    if what == "it":
        raise UnusableError(f"it holds {_kind(value)} where an object or a string should be")
    raise UnusableError(f"{what} holds {_kind(value)} where text should be")


def decoded(data: bytes, encoding: str | None, what: str) -> str:
    """Return the text that bytes stand for; raise UnusableError if they stand for none."""
    if encoding is None:
        raise UnusableError(f"{what} holds bytes: set their encoding, such as utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        found = data[error.start]
        raise UnusableError(f"{what} is no {encoding} (byte 0x{found:02x})") from None


def _is_ids(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iu"
    return isinstance(value, list | tuple) and len(value) > 0 and type(value[0]) is int


def _tokens(value: Any, mask: Any, what: str, fields: Fields) -> U32:
    """Return token ids without those that the attention mask leaves out."""
    if not isinstance(value, list | tuple | np.ndarray):
        raise UnusableError(f"{what} holds {_kind(value)} where a list of token ids should be")
    if len(value) * np.dtype(np.uint32).itemsize > fields.max_document_bytes:
        raise UnusableError(fields.too_long)
    ids = np.asarray(value) if len(value) else np.zeros(0, np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise UnusableError(f"{what} holds something else than one list of token ids")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) <= _LARGEST_ID:
        raise UnusableError(f"{what} holds a token id that is negative or beyond 32 bits")
    if mask is not None:
        attended = np.asarray(mask)
        if attended.shape != ids.shape:
            raise UnusableError(f"{MASK} has {len(attended)} entries for {len(ids)} token ids")
        ids = ids[attended.astype(bool)]
    return ids.astype(np.uint32)


def _messages(value: Any, what: str) -> tuple[Mapping[str, Any], ...]:
    listed = isinstance(value, list | tuple) and len(value) > 0
    if not listed or not all(isinstance(one, Mapping) for one in value):
        raise UnusableError(f"{what} holds no list of messages")
    return tuple(_message(one, what) for one in value)


def _message(found: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    message = {key: value for key, value in found.items() if value is not None}
    if "role" not in message and "from" in message:
        role = message.pop("from")
        message |= {"role": _ROLES.get(role, role), "content": message.pop("value", None)}
    if not isinstance(message.get("role"), str):
        raise UnusableError(f"{what} holds a message without a role")
    for text in (message["role"], message.get("content")):
        if isinstance(text, str):
            encodable(text)
    return message


def _value(record: Mapping[str, Any], path: str) -> Any:
    """Return what a dotted path leads to in a record; a name with dots in it comes first."""
    if path in record:
        return record[path]
    found: Any = record
    parts = path.split(".")
    for number, part in enumerate(parts):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list | tuple) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, list | tuple) and not part.isdecimal():
            rest = ".".join(parts[number:])
            return [_value(item, rest) if isinstance(item, Mapping) else None for item in found]
        else:
            has = ", ".join(map(str, record)) or "no fields"
            raise UnusableError(f"it has no field {path!r} (it has: {has})")
    return found


def _root(path: str, names: Sequence[str]) -> str:
    return path if path in names else path.split(".")[0]


def _label(value: Any) -> str:
    """Return an id or domain as text; null and "not a number" are none."""
    absent = value is None or (isinstance(value, float) and math.isnan(value))
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if absent else str(value)


def encodable(text: str) -> str:
    """Return ``text``; raise UnusableError if it holds half a surrogate pair."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnusableError(
                f"it holds half a surrogate pair at character {error.start}"
            ) from None
    return text


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
