"""A producer process that writes a known corpus slowly; its arguments are an address and a name."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from producers.progress import Silent
from producers.publish import Draft, publish
from producers.tally import Tally
from streams.corpus import CorpusRecord, TokenBatch, Vocabulary
from streams.errors import BrokerError
from streams.transport.connect import connect
from tests import factories
from tests.published import WORDS

PARTITIONS = 3
PER_PARTITION = 60


def batches(corpus: str) -> list[TokenBatch]:
    """Return the corpus's batches in the order in which a producer writes them."""
    made = factories.batches(PARTITIONS, PER_PARTITION, rows=3)
    renamed = [replace(batch, corpus=corpus) for batch in made]
    return sorted(renamed, key=lambda batch: (batch.sequence, batch.partition))


def draft(corpus: str, pause: float = 0.0) -> Draft:
    """Return the corpus as something to publish, with a pause before each batch."""
    record = CorpusRecord(
        corpus, PARTITIONS, "none", "none", factories.VOCABULARY, 6, 3, False, None, 0, ()
    )
    return Draft(record, Vocabulary(corpus, WORDS), _slowly(batches(corpus), pause), Tally())


def _slowly(made: list[TokenBatch], pause: float) -> Iterator[TokenBatch]:
    for batch in made:
        time.sleep(pause)
        yield batch


def main() -> None:
    """Produce the corpus, or go on with it; status 2 if the broker is away."""
    url, corpus = sys.argv[1:3]
    try:
        publish(connect(url), draft(corpus, pause=0.02), Silent())
    except BrokerError as error:
        sys.exit(f"{error}"[:300])


if __name__ == "__main__":
    main()
