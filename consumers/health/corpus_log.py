"""Where batches stand in the log of a corpus, and whether they are still there."""

from streams.lost_input import deleted
from streams.record_headers import sequence_in
from streams.transport.client import Client


def first_sequence(client: Client, topic: str, partition: int, start: int) -> int | None:
    """Return the first sequence in a log that begins at ``start``, None if nothing is left.

    Batches before it were deleted, unless their producer wrote them again later.
    """
    for record in client.read(topic, partition, start):
        if (sequence := sequence_in(record.headers)) is not None:
            return sequence
    return None


def offset_of(client: Client, topic: str, partition: int, sequence: int) -> int:
    """Return where the first record of a sequence stands; the log's end before it is produced.

    Raises LostInputError if it was deleted.
    """
    end = client.ends(topic)[partition]
    for record in client.read(topic, partition):
        if sequence_in(record.headers) == sequence:
            return record.offset
    start = client.starts(topic)[partition]
    if start > 0:
        raise deleted(topic, partition, f"batch {sequence}", start)
    return end
