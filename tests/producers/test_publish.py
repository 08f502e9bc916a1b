from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.documents import Document
from producers.progress import Silent
from producers.settings import CorpusSettings
from streams import topics
from streams.catalog.corpora import find_corpus, get_corpus, get_vocabulary
from streams.errors import BrokerError, CorpusError, SettingsError
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch
from streams.transport.client import Client, StoredRecord
from streams.wire import codec
from tests.producers.conftest import PROSE, new_client
from tests.producers.in_memory import DocumentsInMemory, produce_text

DOCUMENTS = DocumentsInMemory(
    tuple(Document(f"d{n}", "", text) for n, text in enumerate(PROSE * 4))
)


class Heard(Silent):
    """A ProducerProgress that remembers."""

    def __init__(self) -> None:
        self.rows = 0
        self.tokens = 0
        self.said: list[str] = []

    def advance(self, rows: int, tokens: int) -> None:
        self.rows += rows
        self.tokens += tokens

    def say(self, text: str) -> None:
        self.said.append(text)


def corpus_settings(folder: str, **changes: Any) -> CorpusSettings:
    given = {"partitions": 2, "context": 8, "batch_rows": 4, "bos": "always"}
    return CorpusSettings(name="text", tokenizer=folder, **{**given, **changes})


def log(client: Client, partition: int, name: str = "text") -> list[StoredRecord]:
    return list(client.read(f"tokens.{name}", partition))


def without_doubles(client: Client, partition: int) -> list[tuple[Any, bytes | None]]:
    """Return (headers, value) as a consumer that drops what it has seen would take them."""
    taken: list[tuple[Any, bytes | None]] = []
    ends = set()
    following = 0
    for record in log(client, partition):
        headers = dict(record.headers)
        if headers["kind"] == topics.BATCH and int(headers["sequence"]) == following:
            following += 1
            taken.append((record.headers, record.value))
        elif headers["kind"] == topics.END:
            ends.add((record.headers, record.value))
    assert len(ends) == 1
    return [*taken, *ends]


def produced(folder: str, client: Client, **changes: Any) -> CorpusRecord:
    return produce_text(client, corpus_settings(folder, **changes), DOCUMENTS, Silent())


def test_a_corpus_is_batches_ends_vocabulary_and_a_sealed_record(folder, client):
    heard = Heard()
    record = produce_text(client, corpus_settings(folder), DOCUMENTS, heard)
    assert find_corpus(client, "text") == record
    assert record.sealed
    assert record.documents == len(DOCUMENTS.documents)
    assert (record.rows, record.tokens) == (heard.rows, heard.tokens)
    found = rows = tokens = 0
    for partition in range(2):
        *batches, last = log(client, partition)
        for sequence, stored in enumerate(batches):
            about = (("kind", b"token-batch"), ("sequence", b"%d" % sequence))
            assert stored.headers == (*about, ("schema-version", b"2"))
            batch = codec.decode(TokenBatch, stored.value)
            batch.check(record.vocabulary)
            assert (batch.partition, batch.sequence) == (partition, sequence)
        end = codec.decode(PartitionEnd, last.value)
        assert dict(last.headers)["sequence"] == b"%d" % len(batches)
        assert end.batches == len(batches)
        found, rows, tokens = found + end.batches, rows + end.rows, tokens + end.tokens
    assert (found, rows, tokens) == (record.batches, record.rows, record.tokens)


def test_the_vocabulary_spells_the_text(folder, client):
    produced(folder, client, partitions=1)
    words = get_vocabulary(client, "text").tokens
    first = codec.decode(TokenBatch, log(client, 0)[0].value)
    of_first = [row for row, name in enumerate(first.documents) if name == "d0"]
    ids = [i for row in of_first for i in first.ids[row, 1:][first.mask[row, 1:]]]
    text = b"".join(words[i] for i in ids)
    assert text
    assert PROSE[0].encode().startswith(text)


@settings(max_examples=40)
@given(data=st.data(), pack=st.booleans())
def test_production_that_broke_off_anywhere_is_finished_with_the_same_log(folder, data, pack):
    whole, broken = new_client(), new_client()
    expected = produced(folder, whole, pack=pack)
    start_of(expected, whole, broken)
    for partition in range(2):
        records = log(whole, partition)
        kept = data.draw(st.integers(0, len(records)), label=f"kept of partition {partition}")
        doubled = data.draw(st.integers(0, kept), label="doubled from")
        with broken.sender() as sender:
            for record in records[:kept] + records[doubled:kept]:
                sender.send("tokens.text", partition, record.value, headers=record.headers)
    assert produced(folder, broken, pack=pack) == expected
    for partition in range(2):
        assert without_doubles(broken, partition) == without_doubles(whole, partition)


def start_of(record: CorpusRecord, whole: Client, broken: Client) -> None:
    """Put what production writes first into a broker."""
    broken.create_topics([topics.CORPORA, topics.tokens("text", 2)])
    draft = replace(record, sealed=False, batches=0, rows=0, tokens=0, documents=0)
    with broken.sender() as sender:
        sender.send("corpora", 0, codec.encode(draft), key=b"text")
        for stored in whole.read("corpora", 0):
            if stored.key == b"text/vocabulary":
                sender.send("corpora", 0, stored.value, key=stored.key)


@settings(max_examples=20)
@given(hole=st.integers(0, 3))
def test_a_hole_in_the_log_is_filled(folder, hole):
    whole, broken = new_client(), new_client()
    start_of(produced(folder, whole), whole, broken)
    with broken.sender() as sender:
        for number, record in enumerate(log(whole, 1)[:4]):
            if number != hole:
                sender.send("tokens.text", 1, record.value, headers=record.headers)
    produced(folder, broken)
    for partition in range(2):
        assert without_doubles(broken, partition) == without_doubles(whole, partition)


def test_junk_in_the_log_does_not_stop_resuming(folder, client):
    whole = new_client()
    start_of(produced(folder, whole), whole, client)
    with client.sender() as sender:
        sender.send("tokens.text", 0, b"\x07junk", headers=(("kind", b"token-batch"),))
        sender.send("tokens.text", 0, b"junk")
    assert produced(folder, client) == get_corpus(whole, "text")


def test_a_sealed_corpus_is_left_as_it_is(folder, client):
    record = produced(folder, client)
    before = log(client, 0), log(client, 1), list(client.read("corpora", 0))
    heard = Heard()
    stdin = replace(DOCUMENTS, rereadable=False)
    assert produce_text(client, corpus_settings(folder), stdin, heard) == record
    assert heard.said == ["corpus text is complete already: nothing to do"]
    assert (log(client, 0), log(client, 1), list(client.read("corpora", 0))) == before


def test_other_settings_under_the_same_name_are_refused_by_name(folder, client):
    produced(folder, client)
    with pytest.raises(CorpusError, match=r"other settings \(context 8, now 9\)"):
        produced(folder, client, context=9)
    with pytest.raises(CorpusError, match=r"other settings \(limit_tokens not set, now 9\)"):
        produced(folder, client, limit_tokens=9)


def broken_off(folder: str, client: Client) -> None:
    whole = new_client()
    start_of(produced(folder, whole), whole, client)
    with client.sender() as sender:
        for record in log(whole, 0)[:2]:
            sender.send("tokens.text", 0, record.value, headers=record.headers)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_another_text_is_refused_before_anything_is_written(folder, client, keep):
    broken_off(folder, client)
    other = DocumentsInMemory(
        (*DOCUMENTS.documents[:keep], Document("new", "", "something else " * 99))
    )
    with pytest.raises(CorpusError, match="not what it was"):
        produce_text(client, corpus_settings(folder), other, Silent())
    assert [len(log(client, 0)), len(log(client, 1))] == [2, 0]


def test_text_that_was_added_behind_an_end_is_refused(folder, client):
    whole = new_client()
    start_of(produced(folder, whole), whole, client)
    with client.sender() as sender:
        for partition in range(2):
            for record in log(whole, partition):
                sender.send("tokens.text", partition, record.value, headers=record.headers)
    longer = DocumentsInMemory((*DOCUMENTS.documents, Document("new", "", "more " * 99)))
    with pytest.raises(CorpusError, match="not what it was"):
        produce_text(client, corpus_settings(folder), longer, Silent())
    assert produced(folder, client) == get_corpus(whole, "text")


def test_a_text_that_became_too_short_is_refused(folder, client):
    broken_off(folder, client)
    with pytest.raises(CorpusError, match="not what it was"):
        produce_text(
            client, corpus_settings(folder), DocumentsInMemory(DOCUMENTS.documents[:1]), Silent()
        )


def test_standard_input_cannot_be_resumed_and_says_so(folder, client):
    broken_off(folder, client)
    with pytest.raises(CorpusError, match="standard input cannot be read again"):
        produce_text(
            client, corpus_settings(folder), replace(DOCUMENTS, rereadable=False), Silent()
        )


def test_batches_of_an_unknown_corpus_are_refused(folder, client):
    produced(folder, client)
    with client.sender() as sender:
        sender.send("corpora", 0, None, key=b"text")
    with pytest.raises(CorpusError, match="left from a deletion"):
        produced(folder, client)


@pytest.mark.parametrize("documents", [(), (Document("d", "", ""),)])
def test_an_empty_corpus_leaves_nothing_behind(folder, client, documents):
    with pytest.raises(CorpusError, match="would be empty"):
        produce_text(client, corpus_settings(folder), DocumentsInMemory(documents), Silent())
    assert not client.topics()


def test_limits_end_the_corpus(folder, client):
    assert produced(folder, client, limit_documents=2).documents == 2
    record = produced(folder, new_client(), limit_tokens=20)
    assert 20 <= record.tokens < 20 + record.context
    assert produced(folder, new_client(), limit_tokens=1).documents == 1


def test_an_empty_partition_gets_its_end_too(folder, client):
    produced(folder, client, partitions=9, limit_documents=1, batch_rows=50)
    for partition in range(1, 9):
        (stored,) = log(client, partition)
        assert codec.decode(PartitionEnd, stored.value) == PartitionEnd("text", partition, 0, 0, 0)


@pytest.mark.parametrize("key", ["partitions", "context", "batch_rows", "limit_tokens"])
def test_a_setting_below_one_is_named(folder, key):
    with pytest.raises(SettingsError, match=key):
        corpus_settings(folder, **{key: 0})


class FailingSender:
    """Passes on what it is given until ``good`` records were sent; then every send fails."""

    def __init__(self, inner: Any, good: int) -> None:
        self.inner, self.left, self.failed = inner, good, 0

    def send(self, *args: Any, **named: Any) -> "Future[int]":
        self.left -= 1
        if self.left >= 0:
            sent: Future[int] = self.inner.send(*args, **named)
            return sent
        self.failed += 1
        future: Future[int] = Future()
        future.set_exception(BrokerError("the disk of the broker is full"))
        return future

    def flush(self) -> None:
        self.inner.flush()

    def __enter__(self) -> "FailingSender":
        return self

    def __exit__(self, *error: object) -> None:
        self.inner.__exit__(*error)


class FailingClient:
    def __init__(self, inner: Client, good: int) -> None:
        self.inner, self.good = inner, good
        self.last: FailingSender | None = None

    def sender(self) -> FailingSender:
        self.last = FailingSender(self.inner.sender(), self.good)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@settings(max_examples=30)
@given(good=st.integers(0, 40))
def test_a_failed_send_ends_production_at_once_and_it_can_be_resumed(folder, good):
    whole, broken = new_client(), new_client()
    expected = produced(folder, whole)
    failing: Any = FailingClient(broken, good)
    if good >= expected.batches + 5:
        produced(folder, failing)
        return
    with pytest.raises(BrokerError, match="disk of the broker is full"):
        produced(folder, failing)
    assert failing.last.failed == (2 if good == 0 else 1) or good < 2
    assert not (found := find_corpus(broken, "text")) or not found.sealed
    assert produced(folder, broken) == expected
    assert get_vocabulary(broken, "text") == get_vocabulary(whole, "text")
    for partition in range(2):
        assert without_doubles(broken, partition) == without_doubles(whole, partition)
