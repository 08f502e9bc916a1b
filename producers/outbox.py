"""The records of one corpus on their way out."""

from collections import deque
from concurrent.futures import Future

from streams import topics
from streams.catalog import corpora
from streams.errors import BrokerError
from streams.record_headers import headers_of
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch, Vocabulary
from streams.transport.client import Headers, Sender
from streams.wire import codec


def _headers(kind: bytes, sequence: int) -> Headers:
    """Return the headers of a record in a topic of token batches."""
    return (
        *headers_of(kind, sequence),
        (topics.SCHEMA_VERSION, str(codec.VERSION).encode()),
    )


class Outbox:
    """Sends what belongs to a corpus; after a send that failed it sends nothing more.

    Every method raises BrokerError as soon as a failure is known.
    """

    def __init__(self, sender: Sender, corpus: CorpusRecord) -> None:
        self._sender = sender
        self._topic = topics.tokens(corpus.name, corpus.partitions).name
        self._unconfirmed: deque[Future[int]] = deque()

    def send_record(self, record: CorpusRecord) -> None:
        """Send the record of the corpus to the topic of corpora."""
        key = corpora.corpus_key(record.name)
        self._send(topics.CORPORA.name, 0, codec.encode(record), key)

    def send_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Send the vocabulary of the corpus to the topic of corpora."""
        key = corpora.vocabulary_key(vocabulary.corpus)
        self._send(topics.CORPORA.name, 0, codec.encode(vocabulary), key)

    def send_batch(self, batch: TokenBatch) -> None:
        """Send a batch to its partition."""
        about = _headers(topics.BATCH, batch.sequence)
        self._send(self._topic, batch.partition, codec.encode(batch), None, about)

    def send_end(self, end: PartitionEnd) -> None:
        """Send the end of a partition."""
        about = _headers(topics.END, end.batches)
        self._send(self._topic, end.partition, codec.encode(end), None, about)

    def flush(self) -> None:
        """Wait until all is confirmed."""
        self._sender.flush()
        while self._unconfirmed:
            _expect_sent(self._unconfirmed.popleft())

    def _send(
        self, topic: str, partition: int, value: bytes, key: bytes | None, about: Headers = ()
    ) -> None:
        while self._unconfirmed and self._unconfirmed[0].done():
            _expect_sent(self._unconfirmed.popleft())
        sent = self._sender.send(topic, partition, value, key=key, headers=about)
        self._unconfirmed.append(sent)


def _expect_sent(sent: "Future[int]") -> None:
    error = sent.exception()
    if error is not None:
        raise BrokerError(str(error)) from error
