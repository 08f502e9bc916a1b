"""Sending a corpus: record, vocabulary, batches and ends, from the start or where it broke off."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import chain

from producers.confirmed import Confirmed, read_confirmed
from producers.documents import Documents, RefusedDocuments
from producers.outbox import Outbox
from producers.progress import ProducerProgress
from producers.resume import (
    expect_resumable,
    expect_same,
    expect_same_text,
    not_empty,
    verified,
    within_ends,
)
from producers.settings import CorpusSettings
from producers.tally import CorpusTally
from streams import topics
from streams.catalog.corpora import find_corpus
from streams.records.corpus import CorpusRecord, TokenBatch, Vocabulary
from streams.tokenizer.tokenizer import Tokenizer
from streams.transport.client import Client


def produce(
    client: Client,
    settings: CorpusSettings,
    tokenizer: Tokenizer,
    documents: Documents,
    progress: ProducerProgress,
) -> CorpusRecord:
    """Make a corpus of documents and return its sealed record.

    What broke off is resumed behind what the topic holds; what is sealed already stays as it is,
    once the beginning of the text was seen to be the same. Raises CorpusError if there is no text,
    if the name stands for another corpus, or if the text is not what it was; nothing is written
    then. Raises BrokerError if a record cannot be sent, and
    nothing is sent after it.
    """
    tally = CorpusTally()
    draft = CorpusDraft(
        record=settings.record(tokenizer),
        vocabulary=tokenizer.vocabulary(settings.name),
        batches=settings.batches(tokenizer, documents, tally),
        tally=tally,
        rereadable=documents.rereadable,
        refusals=documents.refusals,
    )
    return publish(client, draft, progress)


@dataclass(frozen=True, slots=True)
class CorpusDraft:
    """A corpus to be sent. record: not sealed. batches: in order, can be gone through once.

    refusals: what counts the documents that could not be used.
    """

    record: CorpusRecord
    vocabulary: Vocabulary
    batches: Iterable[TokenBatch]
    tally: CorpusTally
    rereadable: bool = True
    refusals: RefusedDocuments = field(default_factory=RefusedDocuments)


def publish(client: Client, draft: CorpusDraft, progress: ProducerProgress) -> CorpusRecord:
    """Send a draft and return its sealed record; errors as in ``produce``."""
    record = draft.record
    found = find_corpus(client, record.name)
    if found is not None:
        expect_same(found, record)
        if found.sealed:
            expect_same_text(client, found, draft.batches)
            progress.say(f"corpus {record.name} is complete already: nothing to do")
            return found
    confirmed = read_confirmed(client, record)
    present = sum(len(partition.digests) for partition in confirmed)
    if present:
        expect_resumable(record.name, known=found is not None, rereadable=draft.rereadable)
        progress.say(f"corpus {record.name} broke off: going on behind its {present} batches")
    batches = within_ends(not_empty(record.name, draft.batches), confirmed)
    first = verified(batches, confirmed, draft.tally, progress) if present else []
    client.create_topics([topics.CORPORA, topics.tokens(record.name, record.partitions)])
    with client.sender() as sender:
        outbox = Outbox(sender, record)
        if found is None:
            # Whoever finds the record finds the vocabulary, wherever this breaks off.
            outbox.send_vocabulary(draft.vocabulary)
            outbox.send_record(record)
            outbox.flush()
        for batch in chain(first, batches):
            outbox.send_batch(batch)
            progress.advance(*draft.tally.add(batch))
        outbox.flush()
        sealed = _finish(outbox, draft, confirmed)
    if sealed.skipped:
        progress.say(f"{sealed.skipped:,} documents could not be used and are dead letters")
    return sealed


def _finish(outbox: Outbox, draft: CorpusDraft, confirmed: list[Confirmed]) -> CorpusRecord:
    """Write the ends that are missing and seal the corpus, each once all before is confirmed."""
    record, tally = draft.record, draft.tally
    for partition in range(record.partitions):
        end = tally.end(record.name, partition)
        if confirmed[partition].end != end:
            outbox.send_end(end)
    outbox.flush()
    sealed = replace(
        record,
        sealed=True,
        batches=tally.batches.total(),
        rows=tally.rows.total(),
        tokens=tally.tokens.total(),
        documents=tally.documents,
        skipped=max(record.skipped, draft.refusals.count),
        largest_id=None if record.largest_id is None else max(record.largest_id, tally.largest),
    )
    outbox.send_record(sealed)
    outbox.flush()
    return sealed
