"""Whether a corpus can be made, or gone on with, and what is missing from its topic."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from producers.confirmed import Confirmed, digest, read_log
from producers.progress import ProducerProgress
from producers.tally import CorpusTally
from streams import topics
from streams.errors import CorpusError
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.transport.client import Client

COMPARED_BATCHES = 64


def verified(
    batches: Iterator[TokenBatch],
    confirmed: list[Confirmed],
    tally: CorpusTally,
    progress: ProducerProgress,
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


def within_ends(batches: Iterable[TokenBatch], confirmed: list[Confirmed]) -> Iterator[TokenBatch]:
    """Pass batches on; raise CorpusError at one that lies behind the end of its partition."""
    for batch in batches:
        end = confirmed[batch.partition].end
        if end is not None and batch.sequence >= end.batches:
            raise _changed("goes on behind its end")
        yield batch


def _changed(how: str) -> CorpusError:
    return CorpusError(
        f"the text is not what it was when production broke off (it {how}): bring the old text "
        "back, or delete the corpus and produce it anew"
    )


def not_empty(name: str, batches: Iterable[TokenBatch]) -> Iterator[TokenBatch]:
    """Return the batches; raise CorpusError if there is none."""
    found = iter(batches)
    first = next(found, None)
    if first is None:
        raise CorpusError(f"corpus {name} would be empty: there is no text at the places named")
    return chain([first], found)


def expect_same(found: CorpusRecord, wanted: CorpusRecord) -> None:
    """Raise CorpusError, naming what differs, if a name already stands for another corpus."""
    if found.fingerprint == wanted.fingerprint:
        return
    shown = ("partitions", "tokenizer_id", "context", "batch_rows", "pack", "bos_id", "pad_id")
    changes = [
        f"{name} {getattr(found, name)}, now {getattr(wanted, name)}"
        for name in shown
        if getattr(found, name) != getattr(wanted, name)
    ]
    old, new = ({c.name: c.value for c in record.choices} for record in (found, wanted))
    changes += [
        f"{name} {old.get(name, 'not set')}, now {new.get(name, 'not set')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    raise CorpusError(
        f"corpus {wanted.name} exists with other settings "
        f"({'; '.join(changes) or 'the form of its rows'}): "
        "take another name or delete it"
    )


def expect_resumable(name: str, known: bool, rereadable: bool) -> None:
    """Raise CorpusError if a corpus with batches in its topic cannot be gone on with."""
    if not known:
        raise CorpusError(
            f"there are batches of an unknown corpus {name}, left from a deletion that broke off: "
            "delete it again"
        )
    if not rereadable:
        raise CorpusError(
            f"corpus {name} broke off, and a pipe or standard input cannot be read again: delete "
            "it and produce it anew, from a file if it may break off"
        )


def expect_same_text(client: Client, found: CorpusRecord, batches: Iterable[TokenBatch]) -> None:
    """Raise CorpusError unless the text begins as that of a corpus that is complete already.

    The first batches are compared, and their number where the text has no more: reading all of a
    large text again would cost as much as producing it.
    """
    topic = topics.tokens(found.name, found.partitions).name
    logs = [_batches(client, topic, partition) for partition in range(found.partitions)]
    number = 0
    for batch in islice(batches, COMPARED_BATCHES):
        number += 1
        kept = next((b for b in logs[batch.partition] if b.sequence == batch.sequence), None)
        if kept is None or digest(kept) != digest(batch):
            raise _other_text(found.name, f"batch {number} differs")
    if number < min(COMPARED_BATCHES, found.batches):
        raise _other_text(found.name, f"it makes {number} batches instead of {found.batches}")


def _batches(client: Client, topic: str, partition: int) -> Iterator[TokenBatch]:
    return (r for r in read_log(client, topic, partition) if isinstance(r, TokenBatch))


def _other_text(name: str, how: str) -> CorpusError:
    return CorpusError(
        f"corpus {name} exists with other text ({how}): take another name for this text, delete "
        "the corpus, or name no text to use it as it is"
    )
