"""Follows what a worker is assigned, for its log, its metrics and its readiness."""

from collections.abc import Mapping
from typing import Any

from faust.types import TP

from consumers.health.group_lag import Reading
from consumers.health.progress import Progress, Side, WorkerPosition
from streams.monitoring import events
from streams.transport.faust.worker_app import WorkerApp


def follow_group(app: WorkerApp, run: str, side: Side, topic: str, progress: Progress) -> None:
    """Note every assignment of an app; it is ready once its state is there and records can come.

    topic: its input, as we name it.
    """

    async def assigned(_: Any, /, *assignments: Any, **__: Any) -> None:
        given: set[TP] = set().union(*assignments)
        full = app.access.full(topic)
        partitions = sorted(tp.partition for tp in given if tp.topic == full)
        progress.rebalanced(id(app), side, len(partitions))
        events.say(events.REBALANCED, side=side, run=run, topic=topic, partitions=partitions)

    async def revoked(*_: Any, **__: Any) -> None:
        progress.health.left(id(app))

    async def complete(*_: Any, **__: Any) -> None:
        progress.health.joined(id(app))

    app.on_partitions_assigned.connect(assigned)
    app.on_partitions_revoked.connect(revoked)
    app.on_rebalance_complete.connect(complete)


def worker_position(
    app: WorkerApp,
    side: Side,
    topic: str,
    found: Mapping[int, Reading],
    chains: Mapping[int, tuple[int, ...]],
    state_bytes: Mapping[int, int],
) -> WorkerPosition:
    """Return where a worker stands. topic: as the broker names it.

    found: how far its group has come in every partition.
    """
    assigned = {tp.partition: tp for tp in app.consumer.assignment() if tp.topic == topic}
    ours = {partition: found[partition] for partition in sorted(set(assigned) & set(found))}
    unread = {}
    for partition, reading in ours.items():
        following = app.delivery.next_offset(assigned[partition])
        unread[partition] = max(0, reading.end - max(following or 0, reading.start))
    return WorkerPosition(
        app.conf.id,
        topic,
        {partition: reading.lag for partition, reading in ours.items()},
        chains,
        side,
        unread=unread,
        retention={p: r.lag / max(1, r.end - r.start) for p, r in ours.items()},
        done=sum(r.at - r.start for r in found.values()),
        total=sum(r.end - r.start for r in found.values()),
        state_bytes=state_bytes,
    )
