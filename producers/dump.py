"""A corpus from the broker into one file, and from there to the same or another broker."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from producers.confirmed import read_log
from producers.progress import ProducerProgress
from producers.publish import CorpusDraft, publish
from producers.tally import CorpusTally
from streams import topics
from streams.catalog.corpora import get_corpus, get_vocabulary
from streams.dump import Entry, iter_batches, read_dump, read_head, write_dump
from streams.errors import CorpusError
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch
from streams.transport.client import Client


def dump_corpus(client: Client, name: str, path: Path, progress: ProducerProgress) -> CorpusRecord:
    """Write a sealed corpus to a file, each batch once, and return its record.

    Raises CorpusError, and leaves no file, if there is no such corpus, if it is not sealed or not
    whole, or if the file cannot be written.
    """
    record = get_corpus(client, name)
    if not record.sealed:
        raise CorpusError(f"corpus {name} is not complete yet: finish producing it first")
    write_dump(path, _entries(client, record, progress))
    return record


def _entries(client: Client, record: CorpusRecord, progress: ProducerProgress) -> Iterator[Entry]:
    tally = CorpusTally(documents=record.documents)
    yield record
    yield get_vocabulary(client, record.name)
    topic = topics.tokens(record.name, record.partitions).name
    if client.topics().get(topic) != record.partitions:
        raise CorpusError(f"topic {topic} of corpus {record.name} is missing: produce it again")
    for partition in range(record.partitions):
        yield from whole_partition(client, record, partition, tally, progress)
        yield tally.end(record.name, partition)
    if (tally.batches.total(), tally.tokens.total()) != (record.batches, record.tokens):
        raise CorpusError(f"corpus {record.name} has lost records: delete it and produce it again")


def whole_partition(
    client: Client,
    record: CorpusRecord,
    partition: int,
    tally: CorpusTally,
    progress: ProducerProgress,
) -> Iterator[TokenBatch]:
    """Yield each batch of a partition once, in order; raise CorpusError unless all were there."""
    topic = topics.tokens(record.name, record.partitions).name
    end: PartitionEnd | None = None
    for found in read_log(client, topic, partition):
        if isinstance(found, PartitionEnd):
            end = end or found
        elif found.sequence == tally.batches[partition]:
            progress.advance(*tally.add(found))
            yield found
    if end is None or end != tally.end(record.name, partition):
        raise CorpusError(
            f"partition {partition} of corpus {record.name} is not whole: delete the corpus and "
            "produce it again"
        )


def load_corpus(client: Client, path: Path, progress: ProducerProgress) -> CorpusRecord:
    """Bring a dumped corpus back, under its name and with the same sequences; return its record.

    Raises CorpusError as ``read_dump`` and ``publish`` do; a damaged file is noticed before
    anything is written.
    """
    record, vocabulary = read_head(path)
    if sum(isinstance(entry, TokenBatch) for entry in read_dump(path)) != record.batches:
        raise CorpusError(f"the dump {path} lacks batches: dump the corpus again")
    draft = CorpusDraft(
        record=unsealed(record),
        vocabulary=vocabulary,
        batches=iter_batches(path),
        tally=CorpusTally(documents=record.documents),
    )
    return publish(client, draft, progress)


def unsealed(record: CorpusRecord) -> CorpusRecord:
    """Return a record as it was before its corpus was complete."""
    return replace(record, sealed=False, batches=0, rows=0, tokens=0, documents=0)
