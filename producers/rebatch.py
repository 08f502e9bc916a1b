"""A corpus in batches of another size: the same rows in the same order, at other places."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from producers.dump import unsealed, whole_partition
from producers.progress import ProducerProgress, Silent
from producers.publish import CorpusDraft, publish
from producers.tally import CorpusTally
from streams import topics
from streams.bounds import MAX_BATCH_TOKENS
from streams.catalog.corpora import get_corpus, get_vocabulary
from streams.errors import CorpusError, SettingsError
from streams.names import check_name
from streams.records.corpus import CorpusRecord, TokenBatch, lengths_of
from streams.transport.client import Client


def rebatch_corpus(
    client: Client,
    name: str,
    wanted: str,
    rows: int,
    partitions: int | None,
    progress: ProducerProgress,
) -> CorpusRecord:
    """Make a corpus ``wanted`` of the rows of a sealed one and return its sealed record.

    rows: of a batch. partitions: None for as many as the other has. Rows keep their order, sample
    keys, documents and domains. What broke off is resumed, and what is sealed already stays, as in
    ``publish``. Raises CorpusError if there is no such corpus, if it is not sealed or not whole, or
    if the new name stands for another; SettingsError for a batch that cannot be.
    """
    check_name(wanted, "corpus")
    if wanted == name:
        raise SettingsError(f"corpus {name} stays as it is: take another name for the new one")
    record = get_corpus(client, name)
    if not record.sealed:
        raise CorpusError(f"corpus {name} is not complete yet: finish producing it first")
    if rows * record.context > MAX_BATCH_TOKENS:
        raise SettingsError(
            f"{rows:,} rows of {record.context:,} tokens are more than the "
            f"{MAX_BATCH_TOKENS:,} tokens that a batch can hold; take fewer"
        )
    count = record.partitions if partitions is None else partitions
    draft = CorpusDraft(
        record=replace(
            unsealed(record),
            name=wanted,
            partitions=count,
            batch_rows=rows,
            fingerprint=_fingerprint(record, rows, count),
        ),
        vocabulary=replace(get_vocabulary(client, name), corpus=wanted),
        batches=_placed(regrouped(stored_batches(client, record), rows), wanted, count),
        tally=CorpusTally(documents=record.documents),
    )
    return publish(client, draft, progress)


def stored_batches(client: Client, record: CorpusRecord) -> Iterator[TokenBatch]:
    """Yield the batches of a sealed corpus in the order in which its rows were produced.

    Raises CorpusError where the topic does not hold all of them, once that is seen.
    """
    topic = topics.tokens(record.name, record.partitions).name
    if client.topics().get(topic) != record.partitions:
        raise CorpusError(f"topic {topic} of corpus {record.name} is missing: produce it again")
    tally = CorpusTally()
    logs = [
        whole_partition(client, record, partition, tally, Silent())
        for partition in range(record.partitions)
    ]
    while logs:
        going = list[Iterator[TokenBatch]]()
        for log in logs:
            if (batch := next(log, None)) is not None:
                going.append(log)
                yield batch
        logs = going
    if (tally.batches.total(), tally.tokens.total()) != (record.batches, record.tokens):
        raise CorpusError(f"corpus {record.name} has lost records: delete it and produce it again")


def regrouped(batches: Iterable[TokenBatch], rows: int) -> Iterator[TokenBatch]:
    """Yield the rows of batches in batches of ``rows`` rows, the last one of what is left.

    Their places are those of the batch in which their first row was. Raises CorpusError if rows
    have different lengths.
    """
    held, count = list[TokenBatch](), 0
    for batch in batches:
        held.append(batch)
        count += len(batch.ids)
        if count < rows:
            continue
        joined = _joined(held)
        full = count - count % rows
        for first in range(0, full, rows):
            yield _part(joined, first, first + rows)
        held, count = [_part(joined, full, count)] if count > full else [], count - full
    if count:
        yield _part(_joined(held), 0, count)


def _placed(batches: Iterable[TokenBatch], corpus: str, partitions: int) -> Iterator[TokenBatch]:
    for number, batch in enumerate(batches):
        sequence, partition = divmod(number, partitions)
        yield replace(batch, corpus=corpus, partition=partition, sequence=sequence)


def _joined(batches: list[TokenBatch]) -> TokenBatch:
    if len({batch.ids.shape[1] for batch in batches}) > 1:
        raise CorpusError(f"corpus {batches[0].corpus} has rows of different lengths")
    if len(batches) == 1:
        return batches[0]
    some = any(batch.lengths is not None for batch in batches)
    return replace(
        batches[0],
        ids=np.concatenate([batch.ids for batch in batches]),
        mask=np.concatenate([batch.mask for batch in batches]),
        keys=np.concatenate([batch.keys for batch in batches]),
        documents=tuple(name for batch in batches for name in batch.documents),
        domains=tuple(name for batch in batches for name in batch.domains),
        lengths=np.concatenate([_lengths(batch) for batch in batches]) if some else None,
    )


def _lengths(batch: TokenBatch) -> np.ndarray:
    return lengths_of(batch.mask) if batch.lengths is None else batch.lengths


def _part(batch: TokenBatch, first: int, stop: int) -> TokenBatch:
    mask = batch.mask[first:stop]
    lengths = None if batch.lengths is None else batch.lengths[first:stop]
    # As producers have it: none where the mask says it.
    said = lengths is None or bool((mask.sum(axis=1) == lengths).all())
    return replace(
        batch,
        ids=batch.ids[first:stop],
        mask=mask,
        keys=batch.keys[first:stop],
        documents=batch.documents[first:stop],
        domains=batch.domains[first:stop],
        lengths=None if said else lengths,
    )


def _fingerprint(record: CorpusRecord, rows: int, partitions: int) -> str:
    """Return a hash of what decides the batches: the other corpus and the new layout."""
    deciding = f"rebatched {record.name} {record.fingerprint} {rows} {partitions}"
    return hashlib.blake2b(deciding.encode(), digest_size=16).hexdigest()
