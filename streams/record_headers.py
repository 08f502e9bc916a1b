"""Record headers: the kind of a record on the bus and the sequence of its batch, made and read."""

from collections.abc import Mapping

from streams import topics
from streams.transport.client import Headers

_MOST_DIGITS = 18  # a sequence fits 63 bits


def headers_of(kind: bytes, sequence: int) -> Headers:
    """Return the headers of a record of a kind that belongs to the batch of a sequence."""
    return (topics.KIND, kind), (topics.SEQUENCE, str(sequence).encode())


def kind_in(headers: Headers | Mapping[str, bytes]) -> bytes:
    """Return the kind that headers name, empty if they name none."""
    return dict(headers).get(topics.KIND, b"")


def sequence_in(headers: Headers | Mapping[str, bytes]) -> int | None:
    """Return the sequence that headers name, None if they name none."""
    text = dict(headers).get(topics.SEQUENCE, b"")
    return int(text) if text.isdigit() and len(text) <= _MOST_DIGITS else None
