"""Sending a corpus: record, vocabulary, batches and ends, from the start or where it broke off."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from producers.confirmed import Confirmed, digest, read_confirmed
from producers.documents import Documents
from producers.load_tokenizer import load_tokenizer
from producers.outbox import Outbox
from producers.progress import Progress
from producers.settings import CorpusSettings
from producers.tally import Tally
from streams import topics
from streams.catalog import find_corpus
from streams.corpus import CorpusRecord, TokenBatch, Vocabulary
from streams.errors import CorpusError
from streams.transport.client import Client


def produce(
    client: Client, settings: CorpusSettings, documents: Documents, progress: Progress
) -> CorpusRecord:
    """Make a corpus of documents and return its sealed record.

    What broke off is resumed behind what the topic holds; what is sealed already stays as it is.
    Raises CorpusError if there is no text, if the name stands for another corpus, or if the text is
    not what it was; nothing is written then. Raises BrokerError if a record cannot be sent, and
    nothing is sent after it.
    """
    tokenizer = load_tokenizer(settings.tokenizer)
    tally = Tally()
    draft = Draft(
        record=settings.record(tokenizer),
        vocabulary=tokenizer.vocabulary(settings.name),
        batches=settings.batches(tokenizer, documents, tally),
        tally=tally,
        rereadable=documents.rereadable,
    )
    return publish(client, draft, progress)


@dataclass(frozen=True, slots=True)
class Draft:
    """A corpus to be sent. record: not sealed. batches: in order, can be gone through once."""

    record: CorpusRecord
    vocabulary: Vocabulary
    batches: Iterable[TokenBatch]
    tally: Tally
    rereadable: bool = True


def publish(client: Client, draft: Draft, progress: Progress) -> CorpusRecord:
    """Send a draft and return its sealed record; errors as in ``produce``."""
    record = draft.record
    found = find_corpus(client, record.name)
    if found is not None:
        _expect_same(found, record)
        if found.sealed:
            progress.say(f"corpus {record.name} is complete already: nothing to do")
            return found
    confirmed = read_confirmed(client, record)
    present = sum(len(partition.digests) for partition in confirmed)
    _expect_resumable(draft, known=found is not None, present=present)
    if present:
        progress.say(f"corpus {record.name} broke off: going on behind its {present} batches")
    batches = _not_empty(record.name, draft.batches)
    first = _verified(batches, confirmed, draft.tally, progress) if present else []
    client.create_topics([topics.CORPORA, topics.tokens(record.name, record.partitions)])
    with client.sender() as sender:
        outbox = Outbox(sender, record)
        if found is None:
            outbox.send_record(record)
            outbox.send_vocabulary(draft.vocabulary)
            outbox.flush()
        for batch in chain(first, batches):
            outbox.send_batch(batch)
            progress.advance(*draft.tally.add(batch))
        outbox.flush()
        return _finish(outbox, draft, confirmed)


def _finish(outbox: Outbox, draft: Draft, confirmed: list[Confirmed]) -> CorpusRecord:
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
    )
    outbox.send_record(sealed)
    outbox.flush()
    return sealed


def _verified(
    batches: Iterator[TokenBatch], confirmed: list[Confirmed], tally: Tally, progress: Progress
) -> list[TokenBatch]:
    """Go through the batches that should be in the topic and return those that are missing.

    Those are few: partitions differ by what was in flight when production broke off. Raises
    CorpusError if a batch is not what the topic holds, or if there are fewer than it holds.
    """
    missing = []
    awaited = {(p, s) for p, partition in enumerate(confirmed) for s in partition.digests}
    following = [partition.next_sequence() for partition in confirmed]
    while awaited:
        batch = next(batches, None)
        place = None if batch is None else (batch.partition, batch.sequence)
        if batch is None or place is None:
            raise _changed("ends too early")
        awaited.discard(place)
        kept = confirmed[batch.partition].digests.get(batch.sequence)
        if kept is not None and kept != digest(batch):
            raise _changed(f"makes another batch {batch.sequence} of partition {batch.partition}")
        if batch.sequence >= following[batch.partition]:
            missing.append(batch)
        else:
            progress.advance(*tally.add(batch))
    return missing


def _changed(how: str) -> CorpusError:
    return CorpusError(
        f"the text is not what it was when production broke off (it {how}): bring the old text "
        "back, or delete the corpus and produce it anew"
    )


def _not_empty(name: str, batches: Iterable[TokenBatch]) -> Iterator[TokenBatch]:
    """Return the batches; raise CorpusError if there is none."""
    found = iter(batches)
    first = next(found, None)
    if first is None:
        raise CorpusError(f"corpus {name} would be empty: there is no text at the places named")
    return chain([first], found)


def _expect_same(found: CorpusRecord, wanted: CorpusRecord) -> None:
    """Raise CorpusError, naming what differs, if a name already stands for another corpus."""
    if found.fingerprint == wanted.fingerprint:
        return
    shown = ("partitions", "tokenizer_id", "context", "batch_rows", "pack", "bos_id", "pad_id")
    changes = [
        f"{name} {getattr(found, name)}, now {getattr(wanted, name)}"
        for name in shown
        if getattr(found, name) != getattr(wanted, name)
    ]
    raise CorpusError(
        f"corpus {wanted.name} exists with other settings ({'; '.join(changes) or 'limits'}): "
        "take another name or delete it"
    )


def _expect_resumable(draft: Draft, known: bool, present: int) -> None:
    name = draft.record.name
    if present and not known:
        raise CorpusError(
            f"there are batches of an unknown corpus {name}, left from a deletion that broke off: "
            "delete it again"
        )
    if present and not draft.rereadable:
        raise CorpusError(
            f"corpus {name} broke off and standard input cannot be read again: delete it and "
            "produce it anew, from a file if it may break off"
        )
