"""A corpus and a run put on a broker directly, for tests of what comes after the producers."""

from collections.abc import Sequence

from streams import topics
from streams.catalog.corpora import corpus_key, vocabulary_key
from streams.catalog.runs import put_run
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch, Vocabulary
from streams.records.runs import RunRecord
from streams.transport.client import Client
from streams.wire import codec

WORDS = tuple(f"w{i}".encode() for i in range(50))


def publish(client: Client, run: RunRecord, batches: Sequence[TokenBatch]) -> None:
    """Write a corpus of ``batches``, sealed, and the run over it."""
    client.create_topics([*topics.SHARED, topics.tokens(run.corpus, run.partitions)])
    record = CorpusRecord(
        run.corpus, run.partitions, "none", "none", 50, run.context, 4, False, None, 0, (),
        sealed=True, batches=len(batches),
    )  # fmt: skip
    name = topics.tokens(run.corpus, run.partitions).name
    with client.sender() as sender:
        sender.send("corpora", 0, codec.encode(record), key=corpus_key(run.corpus))
        vocabulary = codec.encode(Vocabulary(run.corpus, WORDS))
        sender.send("corpora", 0, vocabulary, key=vocabulary_key(run.corpus))
        for batch in batches:
            headers = kind_and_sequence(topics.BATCH, batch.sequence)
            sender.send(name, batch.partition, codec.encode(batch), headers=headers)
        for partition in range(run.partitions):
            count = sum(b.partition == partition for b in batches)
            end = PartitionEnd(run.corpus, partition, count, 0, 0)
            headers = kind_and_sequence(topics.END, count)
            sender.send(name, partition, codec.encode(end), headers=headers)
        sender.flush()
    put_run(client, run)


def kind_and_sequence(kind: bytes, sequence: int) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that place a record in its partition."""
    return ((topics.KIND, kind), (topics.SEQUENCE, str(sequence).encode()))
