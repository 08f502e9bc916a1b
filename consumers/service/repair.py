"""Fills chains that have a gap: rewinds a run's activation side to the first batch that is missing.

Batches that some buckets have already are duplicates to them, so going back too far costs time and
never results.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from consumers.aggregation.overlay import bucket_key
from consumers.aggregation.shards import check_state, new_bucket
from consumers.health.watching import readings
from consumers.snapshots.samples import sequence_of
from streams import codec, topics
from streams.catalog import read_compacted
from streams.errors import BrokerError, RunError
from streams.partials import BucketState
from streams.plan import Plan
from streams.run_catalog import expect_corpus
from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class Missing:
    """The first sequence of a source partition that some bucket lacks; the end record's counts."""

    partition: int
    sequence: int
    shard: int
    bucket: int


@dataclass(frozen=True, slots=True)
class Rewound:
    """A source partition that the activation side will read again from ``offset`` on."""

    missing: Missing
    offset: int
    before: int


def repair(client: Client, plan: Plan) -> tuple[Rewound, ...]:
    """Rewind the activation side to what the aggregate side lacks; return what was done.

    What the activation side has not acknowledged yet comes without that. Raises RunError while it
    has members, or if the corpus no longer holds what is missing.
    """
    group = topics.activations_app(plan.run.name)
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name
    lacking = first_missing(plan, stored_states(client, plan))
    if not lacking:
        return ()
    expect_corpus(client, plan.run)
    read = readings(client, group, corpus)
    found = []
    for missing in lacking:
        before = read[missing.partition].at
        offset = _offset(client, corpus, missing)
        if offset < before:
            found.append(Rewound(missing, offset, before))
    if found:
        _rewind(client, group, {(corpus, r.missing.partition): r.offset for r in found})
    return tuple(found)


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


def lines(done: tuple[Rewound, ...], plan: Plan, client: Client) -> Iterator[str]:
    """Yield what a repair did, for people."""
    unread = _unread(client, plan)
    if unread:
        yield (
            f"the aggregate side has {unread:,} records to read yet: what is missing may be among "
            "them, and going back for it costs time only"
        )
    for rewound in done:
        missing = rewound.missing
        yield (
            f"partition {missing.partition}: shard {missing.shard}, bucket {missing.bucket} lacks "
            f"batch {missing.sequence}; the activation side goes back from offset "
            f"{rewound.before} to {rewound.offset}"
        )
    if done:
        yield "start the activation workers again"
    else:
        yield f"run {plan.run.name}: nothing is missing that the activation side has passed"


def _unread(client: Client, plan: Plan) -> int:
    topic = topics.partials(plan.run.name, plan.run.shards, 0).name
    found = readings(client, topics.aggregates_app(plan.run.name), topic)
    return sum(reading.lag for reading in found.values())


def _offset(client: Client, corpus: str, missing: Missing) -> int:
    """Return where the first record of a sequence stands, which is the one that counts."""
    end = client.ends(corpus)[missing.partition]
    for record in client.read(corpus, missing.partition):
        if sequence_of(record) == missing.sequence:
            return record.offset
    kept = client.starts(corpus)[missing.partition]
    if kept > 0:
        raise RunError(
            f"{corpus}, partition {missing.partition}: batch {missing.sequence} is missing and no "
            f"longer in the log, which begins at offset {kept}: start a new run"
        )
    return end  # not produced yet


def _rewind(client: Client, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    try:
        client.rewind(group, offsets)
    except BrokerError as error:
        raise RunError(
            f"group {group} cannot be rewound: stop the activation workers of the run first, and "
            f"wait until the session of killed ones is over ({error})"
        ) from error
