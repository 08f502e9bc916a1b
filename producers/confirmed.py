"""What a topic holds of a corpus whose production broke off."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from streams import topics
from streams.errors import RecordError
from streams.record_headers import kind_in
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch
from streams.transport.client import Client, StoredRecord
from streams.wire import codec

Found = TokenBatch | PartitionEnd


@dataclass(slots=True)
class Confirmed:
    """The batches of one partition that the broker keeps, by sequence, and its end if there is one.

    The log may hold doubles, and behind a failed send even holes: only what all before is present
    counts as confirmed.
    """

    digests: dict[int, bytes] = field(default_factory=dict)
    end: PartitionEnd | None = None

    def next_sequence(self) -> int:
        """Return the sequence that the partition needs next: all before it are present."""
        following = 0
        while following in self.digests:
            following += 1
        return following

    def add(self, record: Found) -> None:
        """Note a record of the log."""
        if isinstance(record, PartitionEnd):
            self.end = record
        else:
            self.digests[record.sequence] = digest(record)


def read_confirmed(client: Client, corpus: CorpusRecord) -> list[Confirmed]:
    """Return what the topic holds, per partition; empty if there is no topic."""
    topic = topics.tokens(corpus.name, corpus.partitions).name
    partitions = client.topics().get(topic, 0)
    found = [Confirmed() for _ in range(max(corpus.partitions, partitions))]
    for partition in range(partitions):
        for record in read_log(client, topic, partition):
            found[partition].add(record)
    return found


def read_log(client: Client, topic: str, partition: int) -> Iterator[Found]:
    """Yield the readable batches and ends of a partition as they lie there, doubles included."""
    for stored in client.read(topic, partition):
        try:
            record = _read(stored)
        except RecordError:
            continue  # junk is no part of the corpus; consumers report it
        if record is not None and record.partition == partition:
            yield record


def _read(stored: StoredRecord) -> Found | None:
    kind = kind_in(stored.headers)
    if kind == topics.BATCH:
        return codec.decode(TokenBatch, stored.value)
    if kind == topics.END:
        return codec.decode(PartitionEnd, stored.value)
    return None


def digest(batch: TokenBatch) -> bytes:
    """Return a hash of what a batch holds, 16 bytes."""
    found = hashlib.blake2b(batch.keys.tobytes(), digest_size=16)
    found.update(repr((batch.documents, batch.domains)).encode())
    return found.digest()
