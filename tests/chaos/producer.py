"""A producer process that writes a known corpus slowly; its arguments are an address and a name.

A third one says after how many milliseconds it gives up a record that the broker does not take.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from producers.progress import Silent
from producers.publish import CorpusDraft, publish
from producers.tally import CorpusTally
from streams.errors import BrokerError
from streams.records.corpus import CorpusRecord, TokenBatch, Vocabulary
from streams.transport.connect import connect
from streams.transport.kafka.client import KafkaClient
from streams.transport.kafka.sender import KafkaSender
from tests import factories
from tests.published import WORDS

PARTITIONS = 3
PER_PARTITION = 60


def batches(corpus: str, per_partition: int = PER_PARTITION) -> list[TokenBatch]:
    """Return the corpus's batches in the order in which a producer writes them."""
    made = factories.batches(PARTITIONS, per_partition, rows=3)
    renamed = [replace(batch, corpus=corpus) for batch in made]
    return sorted(renamed, key=lambda batch: (batch.sequence, batch.partition))


def draft(corpus: str, pause: float = 0.0, per_partition: int = PER_PARTITION) -> CorpusDraft:
    """Return the corpus as something to publish, with a pause before each batch."""
    record = CorpusRecord(
        corpus, PARTITIONS, "none", "none", factories.VOCABULARY, 6, 3, False, None, 0, ()
    )
    made = _slowly(batches(corpus, per_partition), pause)
    return CorpusDraft(record, Vocabulary(corpus, WORDS), made, CorpusTally())


def _slowly(made: list[TokenBatch], pause: float) -> Iterator[TokenBatch]:
    for batch in made:
        time.sleep(pause)
        yield batch


class Loud(Silent):
    """A ProducerProgress whose sayings are lines of the output, at once."""

    def say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class Impatient(KafkaClient):
    """A client whose senders give up soon."""

    def __init__(self, url: str, milliseconds: int) -> None:
        self.address, self.milliseconds = url.removeprefix("kafka://"), milliseconds
        super().__init__(self.address)

    def sender(self, max_in_flight_bytes: int = 16 * 2**20) -> KafkaSender:
        return KafkaSender(self.address, max_in_flight_bytes, self.milliseconds)


def main() -> None:
    """Produce the corpus, or go on with it; a line and status 1 if the broker is away."""
    url, corpus, *patience = sys.argv[1:]
    try:
        client = Impatient(url, int(patience[0])) if patience else connect(url)
        publish(client, draft(corpus, pause=0.02), Loud())
    except BrokerError as error:
        sys.exit(f"{error}"[:300])


if __name__ == "__main__":
    main()
