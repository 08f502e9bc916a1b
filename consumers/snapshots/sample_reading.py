"""The rows of a corpus at many places, read where they stand and given out in pieces.

A partition's batches lie in it in the order of their sequences, and perhaps some of them twice, so
none stands at an offset below its sequence, and none nearer to one before it than by the
difference of their sequences. Long stretches that nothing asks for are passed over.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from consumers.snapshots.tables import sample_keys
from streams import topics
from streams.arrays import I64, AnyArray
from streams.errors import AccessError, BrokerError, LostBatchError, RecordError
from streams.lost_input import corpus_advice
from streams.record_headers import sequence_in
from streams.records.corpus import TokenBatch
from streams.snapshots.tables import SAMPLES
from streams.transport.client import Client, StoredRecord
from streams.wire import codec

# Beginning anew takes a request or two: over shorter stretches it is better to read on.
_STRETCH = 1024
_ROWS_PER_PIECE = 1024


def sample_tables(
    client: Client, corpus: str, partition: I64, sequence: I64, row: I64
) -> Iterator[pa.Table]:
    """Yield the samples at places, which are sorted and each there once.

    Raises LostBatchError if the corpus no longer holds one.
    """
    waiting: list[pa.Table] = []
    for found in _tables(client, corpus, partition, sequence, row):
        waiting.append(found)
        if sum(map(len, waiting)) >= _ROWS_PER_PIECE:
            yield _taken(waiting)
    if waiting:
        yield _taken(waiting)


def _taken(waiting: list[pa.Table]) -> pa.Table:
    """Return these as one, and let go of them, for the next piece is read beside this one."""
    piece = pa.concat_tables(waiting).combine_chunks()
    waiting.clear()
    return piece


def _tables(
    client: Client, corpus: str, partition: I64, sequence: I64, row: I64
) -> Iterator[pa.Table]:
    """Yield a table for each batch that some place is in."""
    for number in np.unique(partition).tolist():
        inside = slice(*np.searchsorted(partition, (number, number + 1)))
        sequences, first = np.unique(sequence[inside], return_index=True)
        rows, stops = row[inside], np.r_[first[1:], inside.stop - inside.start]
        batches = batches_at(client, corpus, number, sequences)
        for batch, start, stop in zip(batches, first, stops, strict=True):
            which = rows[start:stop]
            if which[-1] >= len(batch.ids):
                raise _lost(corpus, number, batch.sequence)
            yield batch_table(batch, which)


def batches_at(client: Client, corpus: str, partition: int, sequences: I64) -> Iterator[TokenBatch]:
    """Yield the batches of a partition at rising sequences.

    Raises LostBatchError if the corpus no longer holds one.
    """
    ahead = 0  # of the offsets over the sequences, at least
    for stretch in np.split(sequences, np.flatnonzero(np.diff(sequences) > _STRETCH) + 1):
        first = int(stretch[0]) + ahead
        for offset, batch in _stretch(client, corpus, partition, stretch.tolist(), first):
            ahead = offset - batch.sequence
            yield batch


def _stretch(
    client: Client, corpus: str, partition: int, sequences: list[int], start: int
) -> Iterator[tuple[int, TokenBatch]]:
    """Yield the batches at rising sequences and their offsets; read the log from ``start`` on."""
    missing, held, given = set(sequences), {}, 0
    for record in _records(client, corpus, partition, start):
        sequence = sequence_in(record.headers)
        if sequence is None or sequence not in missing:
            continue
        batch = _decoded(record, partition)
        if batch is None:
            continue
        missing.remove(sequence)
        held[sequence] = record.offset, batch
        while given < len(sequences) and sequences[given] in held:
            yield held.pop(sequences[given])
            given += 1
        if not missing:
            return
    raise _lost(corpus, partition, min(missing))


def _records(client: Client, corpus: str, partition: int, start: int) -> Iterator[StoredRecord]:
    """Yield the records of a partition from ``start`` on, though its log be cut meanwhile.

    Raises LostBatchError if its topic was deleted: no broker that is asked again brings it back.
    """
    topic = topics.tokens(corpus, 1).name
    while True:
        try:
            for record in client.read(topic, partition, start):
                start = record.offset + 1
                yield record
            return
        except AccessError:
            raise
        except BrokerError as error:
            if topic not in client.topics():
                raise LostBatchError(
                    f"corpus {corpus} is not on the broker any more: {corpus_advice(corpus)}"
                ) from error
            begin = client.starts(topic)[partition]
            if begin <= start:
                raise
            start = begin


def _decoded(record: StoredRecord, partition: int) -> TokenBatch | None:
    """Return the batch that a record holds, None if it is junk that claims to."""
    try:
        batch = codec.decode(TokenBatch, record.value)
        batch.check(vocabulary=2**32)
    except RecordError:
        return None
    stands = (batch.partition, batch.sequence) == (partition, sequence_in(record.headers))
    return batch if stands else None


def _lost(corpus: str, partition: int, sequence: int) -> LostBatchError:
    return LostBatchError(
        f"corpus {corpus} no longer holds batch {sequence} of partition {partition}: "
        f"{corpus_advice(corpus)}"
    )


def batch_table(batch: TokenBatch, rows: AnyArray) -> pa.Table:
    """Return the samples at some rows of a batch."""
    ids, lengths = batch.ids[rows], batch.row_lengths()[rows]
    kept = ids[np.arange(ids.shape[1]) < lengths[:, None]].astype(np.int32)
    bounds = pa.array(np.r_[0, np.cumsum(lengths)], pa.int32())
    columns = {
        "partition": np.full(len(rows), batch.partition),
        "sequence": np.full(len(rows), batch.sequence),
        "row": rows,
        "sample": sample_keys(batch.keys[rows]),
        "document": [batch.documents[r] for r in rows],
        "domain": [batch.domains[r] for r in rows],
        "ids": pa.ListArray.from_arrays(bounds, pa.array(kept)),
    }
    return SAMPLES.table(columns)
