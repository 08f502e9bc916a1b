import pytest

from streams import topics
from streams.catalog.corpora import (
    find_corpus,
    get_corpus,
    get_vocabulary,
    list_corpora,
    read_compacted,
)
from streams.errors import CorpusError
from streams.records.corpus import CorpusRecord, Vocabulary
from streams.transport.client import Client
from streams.wire import codec
from tests.producers.conftest import new_client


def corpus(name: str, context: int = 4) -> CorpusRecord:
    return CorpusRecord(name, 1, "t", "t", 9, context, 2, False, None, 0, ())


def put(client: Client, *records: tuple[bytes, bytes | None]) -> None:
    client.create_topics([topics.CORPORA])
    with client.sender() as sender:
        for key, value in records:
            sender.send("corpora", 0, value, key=key)


def test_a_broker_without_topics_has_no_corpora():
    assert list_corpora(new_client()) == []
    assert read_compacted(new_client(), "corpora") == {}


def test_corpora_are_listed_by_name_with_their_last_record():
    client = new_client()
    put(client, (b"b", codec.encode(corpus("b"))), (b"a", codec.encode(corpus("a"))))
    put(client, (b"b", codec.encode(corpus("b", 8))), (b"a/vocabulary", b"junk"))
    assert list_corpora(client) == [corpus("a"), corpus("b", 8)]
    put(client, (b"b", None))
    assert find_corpus(client, "b") is None
    with pytest.raises(CorpusError, match=r"no corpus 'b' \(known: a\)"):
        get_corpus(client, "b")


def test_junk_hides_no_record(caplog):
    client = new_client()
    put(
        client,
        (b"a", codec.encode(corpus("a"))),
        (b"a", b"\x01junk"),
        (b"x", codec.encode(corpus("a"))),
    )
    assert list_corpora(client) == [corpus("a")]
    assert "unreadable record in corpora" in caplog.text


def test_a_vocabulary_is_found_or_missed():
    client = new_client()
    words = Vocabulary("a", (b"x", b"\xff"))
    put(client, (b"a/vocabulary", codec.encode(words)))
    assert get_vocabulary(client, "a") == words
    with pytest.raises(CorpusError, match="vocabulary of corpus 'b' is missing"):
        get_vocabulary(client, "b")
