"""Catalogue of corpora: what the compacted topic says of each as it stands now."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from streams import topics
from streams.errors import CorpusError, RecordError
from streams.records.corpus import CorpusRecord, Vocabulary
from streams.transport.client import Client, StoredRecord
from streams.wire import codec

log = logging.getLogger(__name__)

T = TypeVar("T")
_VOCABULARY = "/vocabulary"


def read_compacted(client: Client, topic: str) -> dict[bytes, bytes]:
    """Return the last value of every key that has one; a topic that does not exist is empty."""
    return _fold(client, topic, bytes)


def read_latest(
    client: Client, topic: str, kind: type[T], wanted: Callable[[bytes], bool] = lambda key: True
) -> dict[bytes, T]:
    """Return the last readable ``kind`` of every wanted key that was not deleted since.

    Unreadable values are logged and passed over, so that junk in a log hides no record.
    """
    return _fold(client, topic, lambda value: codec.decode(kind, value), wanted)


def corpus_key(corpus: str) -> bytes:
    """Return the key of a corpus's CorpusRecord in the topic ``corpora``."""
    return corpus.encode()


def vocabulary_key(corpus: str) -> bytes:
    """Return the key of a corpus's Vocabulary in the topic ``corpora``."""
    return (corpus + _VOCABULARY).encode()


def list_corpora(client: Client) -> list[CorpusRecord]:
    """Return the records of all corpora, by name."""
    found = read_latest(client, topics.CORPORA.name, CorpusRecord, lambda key: b"/" not in key)
    return [found[key] for key in sorted(found) if corpus_key(found[key].name) == key]


def find_corpus(client: Client, name: str) -> CorpusRecord | None:
    """Return the record of a corpus, None if there is none of that name."""
    return next((record for record in list_corpora(client) if record.name == name), None)


def get_corpus(client: Client, name: str) -> CorpusRecord:
    """Return the record of a corpus; raise CorpusError if it is unreadable or missing."""
    value = read_compacted(client, topics.CORPORA.name).get(corpus_key(name))
    if value is not None:
        try:
            found = codec.decode(CorpusRecord, value)
        except RecordError as error:
            raise CorpusError(f"the record of corpus {name!r} cannot be used: {error}") from error
        if found.name == name:
            return found
    known = ", ".join(record.name for record in list_corpora(client)) or "none"
    raise CorpusError(f"there is no corpus {name!r} (known: {known}); make one with produce")


def get_vocabulary(client: Client, name: str) -> Vocabulary:
    """Return the vocabulary of a corpus; raise CorpusError if the broker holds none."""
    key = vocabulary_key(name)
    found = read_latest(client, topics.CORPORA.name, Vocabulary, key.__eq__)
    if key not in found:
        raise CorpusError(f"the vocabulary of corpus {name!r} is missing; produce the corpus again")
    return found[key]


def fold(
    records: Iterable[StoredRecord],
    into: dict[bytes, T],
    read: Callable[[bytes], T],
    wanted: Callable[[bytes], bool],
) -> None:
    """Bring ``into`` up to what the next records of a compacted topic say of the wanted keys.

    Values that ``read`` refuses with a RecordError are logged and passed over.
    """
    for record in records:
        if record.key is None or not wanted(record.key):
            continue
        if record.value is None:
            into.pop(record.key, None)
            continue
        try:
            into[record.key] = read(record.value)
        except RecordError as error:
            log.warning(
                "unreadable record in %s at offset %d: %s", record.topic, record.offset, error
            )


def _fold(
    client: Client,
    topic: str,
    read: Callable[[bytes], T],
    wanted: Callable[[bytes], bool] = lambda key: True,
) -> dict[bytes, T]:
    found: dict[bytes, T] = {}
    for partition in range(client.topics().get(topic, 0)):
        fold(client.read(topic, partition), found, read, wanted)
    return found
