"""What a run lacks to be finished, as its stored states say, and whether it can still come."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from consumers.aggregation.overlay import bucket_key
from consumers.aggregation.shards import check_state, new_bucket
from consumers.health.corpus_log import offset_of
from consumers.health.group_lag import readings
from consumers.plan import Plan
from consumers.snapshots.snapshots import final_manifest
from streams import topics
from streams.catalog.corpora import read_compacted
from streams.errors import LostInputError
from streams.lost_input import deleted
from streams.records.partials import BucketState
from streams.transport.client import Client
from streams.wire import codec


@dataclass(frozen=True, slots=True)
class Missing:
    """The first sequence of a source partition that some bucket lacks; the end record's counts."""

    partition: int
    sequence: int
    shard: int
    bucket: int


def lost_input(client: Client, plan: Plan) -> LostInputError | None:
    """Return why a run can never be finished, None if it may: input that it needs was deleted.

    Raises SnapshotFailedError if the run has failed already.
    """
    if final_manifest(client, plan) is not None:
        return None
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name
    partials = topics.partials(plan.run.name, plan.run.shards, 0).name
    cut, kept = client.starts(corpus), client.starts(partials)
    if not any(cut.values()) and not any(kept.values()):
        return None
    states = list(stored_states(client, plan))
    for state in states:
        if state.position + 1 < kept[state.shard]:
            what = f"offset {state.position + 1}"
            return deleted(partials, state.shard, what, kept[state.shard])
    try:
        for missing in first_missing(plan, states):
            offset_of(client, corpus, missing.partition, missing.sequence)
    except LostInputError as error:
        return error
    read = readings(client, topics.activations_app(plan.run.name), corpus)
    for partition, reading in read.items():
        if reading.acknowledged < reading.start:
            what = f"offset {reading.acknowledged}"
            return deleted(corpus, partition, what, reading.start)
    return None


def stored_states(client: Client, plan: Plan) -> Iterator[BucketState]:
    """Yield the states of all buckets as the changelog holds them; a missing one has seen nothing.

    Raises RecordError if an entry is not a state of this run.
    """
    run = plan.run
    entries = read_compacted(client, topics.changelog(run.name, run.shards, 0).name)
    for shard in range(run.shards):
        for bucket in plan.buckets_of(shard):
            value = entries.get(bucket_key(shard, bucket))
            state = new_bucket(plan, shard, bucket)
            if value is not None:
                state = codec.decode(BucketState, value)
                check_state(plan, state)
            yield state


def first_missing(plan: Plan, states: Iterable[BucketState]) -> list[Missing]:
    """Return the smallest missing sequence of every source partition that lacks one."""
    found: dict[int, Missing] = {}
    for state in states:
        for partition in range(plan.run.partitions):
            sequence = int(state.chain[partition]) + 1
            known = found.get(partition)
            if sequence == int(state.batches[partition]) or (known and known.sequence <= sequence):
                continue
            found[partition] = Missing(partition, sequence, state.shard, state.bucket)
    return [found[partition] for partition in sorted(found)]
