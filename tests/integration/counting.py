"""A small exact counter: the shape of our aggregate side without its contents.

Every record of the source holds a number. Each of a shard's buckets adds up the numbers that fall
to it and keeps, in the same table value, the offset that it has come to. As a program (``python -m
tests.integration.counting URL PREFIX INSTANCE``) it is a worker to kill.
"""

import asyncio
import struct
import sys
from dataclasses import dataclass, field, replace
from typing import Any

from faust.types import TP

from streams.transport.client import Client, TopicSpec
from streams.transport.faust.app import AppOptions, create_app, raw_topic, serve
from streams.transport.faust.durable_table import DurableTable, durable_table
from streams.transport.faust.group_commit import Caused, GroupCommit
from streams.transport.faust.worker_app import WorkerApp

BUCKETS = 2
_STATE = struct.Struct("<qqq")


@dataclass(frozen=True)
class Bucket:
    """Where a bucket has come to, how many numbers it took and their sum."""

    position: int = -1
    count: int = 0
    total: int = 0

    def pack(self) -> bytes:
        return _STATE.pack(self.position, self.count, self.total)


@dataclass(frozen=True)
class Names:
    """The topics and the group of a counter."""

    prefix: str

    @property
    def source(self) -> str:
        return f"{self.prefix}-numbers"

    @property
    def group(self) -> str:
        return f"{self.prefix}-counter"

    @property
    def changelog(self) -> str:
        return f"{self.group}-buckets-changelog"


@dataclass
class Counter:
    """The overlay over the table; the app's start positions."""

    names: Names
    app: WorkerApp
    table: DurableTable
    states: dict[tuple[int, int], Bucket] = field(default_factory=dict)
    dirty: set[tuple[int, int]] = field(default_factory=set)
    assignments: int = 0

    def assigned(self) -> None:
        self.assignments += 1
        self.states.clear()
        self.dirty.clear()
        for tp in self.app.consumer.assignment():
            if tp.topic == self.names.source:
                stored = dict(self.table.owned(tp.partition))
                for bucket in range(BUCKETS):
                    value = stored.get(_key(tp.partition, bucket))
                    state = Bucket() if value is None else Bucket(*_STATE.unpack(value))
                    self.states[tp.partition, bucket] = state

    def start(self, tp: TP) -> int:
        return min(self.states[tp.partition, b].position for b in range(BUCKETS)) + 1

    def apply(self, shard: int, offset: int, number: int) -> None:
        for bucket in range(BUCKETS):
            state = self.states[shard, bucket]
            if offset <= state.position:
                continue
            if number % BUCKETS == bucket:
                state = replace(state, count=state.count + 1, total=state.total + number)
            self.states[shard, bucket] = replace(state, position=offset)
            self.dirty.add((shard, bucket))

    async def write(self) -> Caused:
        dirty, self.dirty = sorted(self.dirty), set()
        return [
            self.table.put(_key(shard, bucket), self.states[shard, bucket].pack(), shard)
            for shard, bucket in dirty
        ]


def _key(shard: int, bucket: int) -> bytes:
    return f"{shard}/{bucket}".encode()


def create_topics(client: Client, names: Names, shards: int) -> None:
    client.create_topics(
        [TopicSpec(names.source, shards), TopicSpec(names.changelog, shards, compacted=True)]
    )


def publish(client: Client, names: Names, shards: int, numbers: range) -> None:
    with client.sender() as sender:
        for number in numbers:
            sender.send(names.source, number // BUCKETS % shards, str(number).encode())


def expected(shards: int, numbers: range) -> dict[tuple[int, int], tuple[int, int]]:
    """Return count and total by shard and bucket."""
    found = {(shard, bucket): (0, 0) for shard in range(shards) for bucket in range(BUCKETS)}
    for number in numbers:
        at = number // BUCKETS % shards, number % BUCKETS
        found[at] = found[at][0] + 1, found[at][1] + number
    return found


def stored(client: Client, names: Names) -> dict[tuple[int, int], Bucket]:
    """Return the buckets as the changelog has them."""
    found = {}
    for partition in client.ends(names.changelog):
        for record in client.read(names.changelog, partition):
            assert record.key is not None
            assert record.value is not None
            _, bucket = record.key.split(b"/")
            found[partition, int(bucket)] = Bucket(*_STATE.unpack(record.value))
    return found


def is_done(client: Client, names: Names) -> bool:
    """Tell whether every bucket has seen the whole source."""
    ends = client.ends(names.source)
    found = stored(client, names)
    return all(
        end == 0 or found.get((p, b), Bucket()).position == end - 1
        for p, end in ends.items()
        for b in range(BUCKETS)
    )


def totals(client: Client, names: Names) -> dict[tuple[int, int], tuple[int, int]]:
    return {at: (b.count, b.total) for at, b in stored(client, names).items()}


def counting_app(
    url: str,
    names: Names,
    shards: int,
    options: AppOptions,
    records: int = 32,
    seconds: float = 0.2,
) -> tuple[WorkerApp, Counter]:
    app = create_app(names.group, url, options=options)
    counter = Counter(names, app, durable_table(app, "buckets", shards))
    app.positions = counter

    async def count(stream: Any) -> None:
        commits = GroupCommit(app, counter.write, records=records, seconds=seconds)
        async for event in stream.noack().events():
            message = event.message
            if await app.delivery.admit(message):
                counter.apply(message.partition, message.offset, int(message.value or b""))
                await commits.add(event)

    app.agent(raw_topic(app, names.source), name="count")(count)
    return app, counter


if __name__ == "__main__":
    url, prefix, shards, instance, session = sys.argv[1:]
    options = AppOptions(session=float(session), heartbeat=1.0, instance=instance)
    app, _ = counting_app(url, Names(prefix), int(shards), options)
    asyncio.run(serve([app]))
