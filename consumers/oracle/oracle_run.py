"""Feeding the oracle a whole corpus, from its topic or from a dump."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from consumers.activations.engine import Engine
from consumers.oracle.oracle import Oracle
from consumers.plan import Plan, make_plan
from consumers.runs.loading import load_engine
from consumers.selection.worker import check_batch
from streams import topics
from streams.catalog.corpora import get_vocabulary
from streams.dump import iter_batches, read_head
from streams.errors import RecordError
from streams.record_headers import kind_in, sequence_in
from streams.records.corpus import TokenBatch, TokenForms
from streams.records.runs import RunRecord
from streams.transport.client import Client
from streams.wire import codec


def run_oracle(
    client: Client,
    run: RunRecord,
    device: str,
    dump: Path | None,
    trusted: Collection[str] = frozenset(),
) -> tuple[Plan, dict[str, pa.Table]]:
    """Return the plan and the tables of a run, computed in this process.

    trusted: see ``load_engine``.
    """
    plan = make_plan(run)
    engine = load_engine(plan, device, trusted)
    vocabulary = read_head(dump)[1] if dump else get_vocabulary(client, run.corpus)
    batches = iter(iter_batches(dump)) if dump else topic_batches(client, plan)
    return plan, oracle_tables(plan, engine, batches, vocabulary.tokens, vocabulary.forms)


def oracle_tables(
    plan: Plan,
    engine: Engine,
    batches: Iterator[TokenBatch | None],
    vocabulary: tuple[bytes, ...],
    forms: Sequence[TokenForms] = (),
) -> dict[str, pa.Table]:
    """Return the tables for batches in order; None stands for one that cannot be read."""
    oracle = Oracle(plan, engine)
    for batch in batches:
        if batch is None:
            oracle.refuse()
        else:
            oracle.add(batch)
    return oracle.tables(vocabulary, forms)


def topic_batches(client: Client, plan: Plan) -> Iterator[TokenBatch | None]:
    """Yield the batches of a corpus's topic, each once: the one that continues its partition."""
    topic = topics.tokens(plan.run.corpus, plan.run.partitions).name
    for partition in range(plan.run.partitions):
        expected = 0
        for record in client.read(topic, partition):
            at_end = kind_in(record.headers) == topics.END
            if at_end or sequence_in(record.headers) != expected:
                continue
            expected += 1
            try:
                batch = codec.decode(TokenBatch, record.value)
                check_batch(plan, batch, partition, expected - 1)
            except RecordError:
                yield None
            else:
                yield batch
