"""Tests of what a run lacks, from its stored states."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from consumers.aggregation.overlay import bucket_key
from consumers.aggregation.shards import new_bucket
from consumers.health.missing import Missing, first_missing, lost_input, stored_states
from consumers.plan import Plan
from streams import topics
from streams.errors import RecordError
from streams.record_headers import headers_of
from streams.records.partials import BucketState
from streams.transport.client import Client
from streams.transport.memory.broker import broker, forget
from streams.transport.memory.client import MemoryClient
from streams.wire import codec
from tests.factories import complete_states, plan

NAME = "missing"


@pytest.fixture
def client() -> Iterator[Client]:
    forget(NAME)
    yield MemoryClient(NAME)
    forget(NAME)


def store(client: Client, made: Plan, state: BucketState) -> None:
    """Append a state to the changelog, made if it is not there."""
    log = topics.changelog(made.run.name, made.run.shards, 1 << 20)
    client.create_topics([log])
    key = bucket_key(state.shard, state.bucket)
    with client.sender() as sender:
        sender.send(log.name, state.shard, codec.encode(state), key=key)


def test_what_is_not_stored_has_seen_nothing_and_what_is_complete_lacks_nothing(
    client: Client,
) -> None:
    made = plan()
    for state in complete_states(made, 0):
        store(client, made, state)
    states = list(stored_states(client, made))
    lacking = [(one.shard, one.bucket) for one in states if first_missing(made, [one])]
    assert lacking == [(s, b) for s in range(1, made.run.shards) for b in made.buckets_of(s)]
    shard, bucket = lacking[0]
    assert first_missing(made, states) == [
        Missing(partition, 0, shard, bucket) for partition in range(made.run.partitions)
    ]


def test_a_stored_state_of_another_layout_is_refused(client: Client) -> None:
    made = plan()
    state = new_bucket(made, 0, next(iter(made.buckets_of(0))))
    store(client, made, replace(state, run="0" * 16))
    with pytest.raises(RecordError, match="is that of run id"):
        list(stored_states(client, made))
    store(client, made, replace(state, chain=state.chain[:1], batches=state.batches[:1]))
    with pytest.raises(RecordError, match="other source partitions"):
        list(stored_states(client, made))


def test_what_was_deleted_is_lost_only_if_it_is_still_needed(client: Client) -> None:
    made = plan()
    run = made.run
    corpus, partials = topics.tokens(run.corpus, run.partitions), topics.partials(run.name, 3, 1024)
    client.create_topics([corpus, partials])
    batches = np.full(run.partitions, 2, np.int64)
    with client.sender() as sender:
        for partition in range(run.partitions):
            for sequence in range(2):
                headers = headers_of(topics.BATCH, sequence)
                sender.send(corpus.name, partition, b"batch", headers=headers)
    for shard in range(run.shards):
        for state in complete_states(made, shard, batches=batches, position=0):
            store(client, made, state)
    here, group = broker(NAME), topics.activations_app(run.name)

    def lost(acknowledged: int) -> str:
        here.commit(group, {(corpus.name, p): acknowledged for p in range(run.partitions)})
        return str(lost_input(client, made) or "")

    assert lost(0) == ""
    for partition in range(run.partitions):
        here.delete_records(corpus.name, partition, 1)
    assert "partition 0: offset 0 is needed, but the log begins at offset 1" in lost(0)
    assert lost(1) == ""
    here.delete_records(corpus.name, 1, 2)
    assert "partition 1: batch 1 is needed, but the log begins at offset 2" in lost(2)
    with client.sender() as sender:
        for _ in range(3):
            sender.send(partials.name, 0, b"part")
    here.delete_records(partials.name, 0, 1)
    assert "partition 1: batch 1" in lost(2)
    here.delete_records(partials.name, 0, 2)
    assert f"{partials.name}, partition 0: offset 1 is needed" in lost(2)
