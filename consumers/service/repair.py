"""Fills chains that have a gap: rewinds a run's activation side to the first batch that is missing.

Batches that some buckets have already are duplicates to them, so going back too far costs time and
never results.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumers.health.corpus_log import offset_of
from consumers.health.group_lag import readings
from consumers.health.missing import Missing, first_missing, lost_input, stored_states
from consumers.plan import Plan
from streams import topics
from streams.catalog.runs import expect_corpus
from streams.errors import BrokerError, RunError
from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class Rewound:
    """A source partition that the activation side will read again from ``offset`` on."""

    missing: Missing
    offset: int
    before: int


def repair(client: Client, plan: Plan) -> tuple[Rewound, ...]:
    """Rewind the activation side to what the aggregate side lacks; return what was done.

    What the activation side has not acknowledged yet comes without that. Raises RunError while it
    has members, or if what is missing was deleted.
    """
    group = topics.activations_app(plan.run.name)
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name
    lacking = first_missing(plan, stored_states(client, plan))
    if not lacking:
        return ()
    expect_corpus(client, plan.run)
    if (lost := lost_input(client, plan)) is not None:
        raise RunError(str(lost)) from lost
    read = readings(client, group, corpus)
    found = []
    for missing in lacking:
        before = read[missing.partition].at
        offset = offset_of(client, corpus, missing.partition, missing.sequence)
        if offset < before:
            found.append(Rewound(missing, offset, before))
    if found:
        _rewind(client, group, {(corpus, r.missing.partition): r.offset for r in found})
    return tuple(found)


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


def _rewind(client: Client, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    try:
        client.rewind(group, offsets)
    except BrokerError as error:
        raise RunError(
            f"group {group} cannot be rewound: stop the activation workers of the run first, and "
            f"wait until the session of killed ones is over ({error})"
        ) from error
