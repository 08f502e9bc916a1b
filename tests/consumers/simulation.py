"""Faults without Faust: a simulated log around the service's own core, one random schedule a seed.

Activation and aggregate workers take steps in random order. Sends land late, in order per shard;
some fail, and the worker dies of it. Workers are killed, partitions move, and those who lost one
may not notice: zombies go on sending, with commits that count for nothing. The changelog is
compacted at any time. At the end everybody behaves, and the tables must be the expected ones; they
must be so, too, at the first moment at which a shard calls itself complete.

``Rules`` switches single rules off, so that a test can show that each is needed.
"""

import functools
import random
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from consumers.aggregation.advance import Partial
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan
from consumers.selection.messages import Outgoing, batch_records, end_records
from consumers.selection.selection import Selection, select, valid_tokens, with_rows
from consumers.selection.topk_filter import TopKFilter
from streams.records.corpus import PartitionEnd, TokenBatch
from streams.records.hits import rank, take
from streams.records.partials import BucketState, Statistics
from streams.wire import codec
from tests import factories

END = -1
INCOMPLETE = "a chain is not complete"


@dataclass(frozen=True)
class Rules:
    """The rules of exactness; each can be left out to see what comes of it."""

    starts_at_smallest_position: bool = True
    missing_bucket_counts: bool = True
    sends_again_what_was_sent: bool = True
    chain_wants_successor: bool = True
    skips_older_sequence: bool = True
    acks_of_this_assignment_only: bool = True
    dies_of_a_failed_send: bool = True
    delivers_contiguously: bool = True
    acks_after_confirmation: bool = True
    position_in_the_value: bool = True


EVERY_RULE = Rules()


@dataclass(frozen=True)
class Scene:
    """A run and its batches, with everything computed that does not depend on the schedule."""

    plan: Plan
    selections: dict[tuple[int, int], Selection]
    lengths: tuple[int, ...]
    expected: dict[int, list[BucketState]]

    @functools.cached_property
    def decoded(self) -> Any:
        """Return a decoder of partials that remembers: schedules repeat the same records."""
        return functools.lru_cache(maxsize=4096)(self._decode)

    def _decode(self, shard: int, kind: bytes, value: bytes) -> Partial:
        return partial(self.plan, shard, kind, value)


def make_scene(batches_per_partition: int = 3, seed: int = 0, **run: Any) -> Scene:
    """Return a scene of two source partitions and two shards of two buckets."""
    settings = {
        "sources": (factories.source(components=4),),
        "clusterings": (),
        "shards": 2,
        "k": 2,
        "rankings": ("maximum",),
        "bucket_bytes": 1200,
    }
    plan = factories.plan(**{**settings, **run})
    batches = factories.with_domains(factories.batches(2, batches_per_partition, rows=3, seed=seed))
    engine = factories.DenseEngine(plan, seed)
    selections = {(b.partition, b.sequence): _select(plan, engine, b) for b in batches}
    scene = Scene(plan, selections, (batches_per_partition,) * 2, {})
    calm = _World(scene, EVERY_RULE, random.Random(0), faults=False)
    calm.finish()
    expected = {shard: calm.aggregators[0].overlay.states(shard) for shard in (0, 1)}
    return replace(scene, expected=expected)


def _select(plan: Plan, engine: Any, batch: TokenBatch) -> Selection:
    valid = valid_tokens(plan, batch)
    return select(plan, batch, valid, engine.compute(batch, valid))


def simulate(scene: Scene, seed: int, rules: Rules = EVERY_RULE, steps: int = 60) -> list[str]:
    """Return what is wrong after one random schedule: nothing, if every rule holds."""
    world = _World(scene, rules, random.Random(seed))
    for _ in range(steps):
        world.step()
    world.finish()
    return world.wrong


@dataclass(eq=False)
class _Activator:
    topk_filter: TopKFilter
    owns: dict[int, int] = field(default_factory=dict)  # partition -> epoch of the assignment
    at: dict[int, int] = field(default_factory=dict)
    flying: dict[int, deque[tuple[Outgoing, list[int]]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    open: dict[int, deque[tuple[int, list[int]]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    sent: set[tuple[int, int]] = field(default_factory=set)
    late_acks: list[tuple[int, int]] = field(default_factory=list)  # partition, offset


@dataclass(eq=False)
class _Aggregator:
    overlay: Overlay
    at: dict[int, int] = field(default_factory=dict)
    flying: deque[tuple[int, bytes, bytes]] = field(default_factory=deque)


class _World:
    """The logs, who owns what, and the workers."""

    def __init__(
        self, scene: Scene, rules: Rules, chance: random.Random, faults: bool = True
    ) -> None:
        self.scene, self.rules, self.chance = scene, rules, chance
        self.source = [list(self._source(p, faults)) for p in range(2)]
        self.committed = [0, 0]
        self.epochs = [0, 0]
        self.partials: list[list[Outgoing]] = [[], []]
        self.changelog: list[list[tuple[bytes, bytes]]] = [[], []]
        self.group_position = [0, 0]
        self.activators: list[_Activator] = []
        self.aggregators: list[_Aggregator] = []
        self.wrong: list[str] = []
        self._hire_activators(2)
        self._hire_aggregators(2)

    def _source(self, partition: int, faults: bool) -> Iterator[int]:
        """Yield the sequences of a partition's log; a producer that resumed wrote some twice."""
        length = self.scene.lengths[partition]
        at = 0
        while at < length:
            yield at
            at += 1
            if faults and self.chance.random() < 0.15:
                at = self.chance.randrange(at)
        yield END

    # Assignments

    def _hire_activators(self, number: int) -> None:
        tables = self.scene.plan.clusters * self.scene.plan.tables
        k = self.scene.plan.table_k
        new = [_Activator(TopKFilter(tables, k)) for _ in range(number)]
        self.activators += new
        for partition in range(2):
            self._assign_source(partition, self.chance.choice(new))

    def _assign_source(self, partition: int, worker: _Activator) -> None:
        self.epochs[partition] += 1
        for other in self.activators:
            if self.chance.random() < 0.5:
                self._lose_source(partition, other)  # else it does not notice: a zombie
        worker.owns[partition] = self.epochs[partition]
        worker.at[partition] = self.committed[partition]
        worker.late_acks += [(partition, offset) for offset, _ in worker.open[partition]]
        worker.open[partition].clear()

    def _lose_source(self, partition: int, worker: _Activator) -> None:
        """A worker notices that it lost a partition: what it has not sent yet stays unsent."""
        worker.owns.pop(partition, None)
        for shard, queue in worker.flying.items():
            keep = [(r, w) for r, w in queue if self._partition_of(shard, r) != partition]
            worker.flying[shard] = deque(keep)

    def _partition_of(self, shard: int, record: Outgoing) -> int:
        found = self.scene.decoded(shard, record.kind, record.value)
        return int(found.partition)

    def _hire_aggregators(self, number: int) -> None:
        new = [_Aggregator(Overlay(self.scene.plan, least_pending=2)) for _ in range(number)]
        self.aggregators += new
        for shard in range(2):
            self._assign_shard(shard, self.chance.choice(new))

    def _assign_shard(self, shard: int, worker: _Aggregator) -> None:
        for other in self.aggregators:
            if other is not worker and self.chance.random() < 0.5:
                other.at.pop(shard, None)
        worker.overlay.load(shard, dict(self.changelog[shard]).items())
        worker.at[shard] = self._start(shard, worker.overlay)

    def _start(self, shard: int, overlay: Overlay) -> int:
        positions = [state.position for state in overlay.states(shard)]
        if not self.rules.position_in_the_value:
            return self.group_position[shard]
        if not self.rules.missing_bucket_counts:
            positions = [p for p in positions if p >= 0] or [-1]
        if not self.rules.starts_at_smallest_position:
            return max(positions) + 1
        if not self.rules.missing_bucket_counts:
            return min(positions) + 1
        return overlay.start(shard)

    # Steps

    def step(self) -> None:
        """Let somebody do something, or something go wrong."""
        choices = (
            (self._compute, 10),
            (self._land, 14),
            (self._acknowledge, 5),
            (self._apply, 14),
            (self._flush, 4),
            (self._write, 8),
            (self._kill_activator, 1),
            (self._kill_aggregator, 1),
            (self._move, 2),
            (self._compact, 1),
        )
        actions, weights = zip(*choices, strict=True)
        self.chance.choices(actions, weights)[0]()

    def _compute(self, worker: _Activator | None = None) -> bool:
        worker = worker or self.chance.choice(self.activators)
        ready = [p for p in worker.owns if worker.at[p] < len(self.source[p])]
        if not ready:
            return False
        partition = self.chance.choice(ready)
        offset = worker.at[partition]
        worker.at[partition] += 1
        if not self.rules.delivers_contiguously and self.chance.random() < 0.1:
            return True  # a record lost on the way is taken for acknowledged
        records = list(self._records(worker, partition, self.source[partition][offset]))
        waits = [len(records)]
        worker.open[partition].append((offset, waits))
        for record in records:
            worker.flying[record.shard].append((record, waits))
        return True

    def _records(self, worker: _Activator, partition: int, sequence: int) -> Iterator[Outgoing]:
        plan = self.scene.plan
        if sequence == END:
            length = self.scene.lengths[partition]
            yield from end_records(plan, PartitionEnd("text", partition, length, 0, 0))
            return
        selection = self.scene.selections[(partition, sequence)]
        worker.topk_filter.see(selection.candidates)
        passing = np.flatnonzero(worker.topk_filter.unbeaten(selection.candidates))
        if not self.rules.sends_again_what_was_sent and (partition, sequence) in worker.sent:
            passing = passing[:0]
        worker.sent.add((partition, sequence))
        hits = with_rows(selection, passing)
        yield from batch_records(plan, partition, sequence, selection.tally, hits)

    def _land(self, worker: _Activator | None = None) -> bool:
        """Confirm the oldest send to some shard, or let it fail and its sender die."""
        calm = worker is not None
        worker = worker or self.chance.choice(self.activators)
        shards = [s for s, queue in worker.flying.items() if queue]
        if not shards:
            return False
        shard = self.chance.choice(shards)
        if not calm and self.chance.random() < 0.03:
            if self.rules.dies_of_a_failed_send:
                worker.flying[shard].clear()
                self._bury(worker)
                return True
            _, waits = worker.flying[shard].popleft()  # the failure is only logged
            waits[0] -= 1
            return True
        record, waits = worker.flying[shard].popleft()
        self.partials[shard].append(record)
        waits[0] -= 1
        return True

    def _acknowledge(self, worker: _Activator | None = None) -> None:
        worker = worker or self.chance.choice(self.activators)
        for partition, waiting in worker.open.items():
            done = None
            while waiting and (waiting[0][1][0] == 0 or not self.rules.acks_after_confirmation):
                done = waiting.popleft()[0] + 1
            ours = worker.owns.get(partition) == self.epochs[partition]
            if not self.rules.delivers_contiguously and not waiting:
                done = worker.at.get(partition, 0)
            if done is not None and ours:
                self.committed[partition] = done
        if worker.late_acks and not self.rules.acks_of_this_assignment_only:
            partition, offset = worker.late_acks.pop()
            self.committed[partition] = max(self.committed[partition], offset + 1)

    def _apply(self, worker: _Aggregator | None = None) -> bool:
        worker = worker or self.chance.choice(self.aggregators)
        ready = [s for s, at in worker.at.items() if at < len(self.partials[s])]
        if not ready:
            return False
        shard = self.chance.choice(ready)
        offset = worker.at[shard]
        worker.at[shard] += 1
        record = self.partials[shard][offset]
        found = self.scene.decoded(shard, record.kind, record.value)
        worker.overlay.apply(shard, offset, self._bent(worker, shard, found))
        if worker.overlay.is_complete(shard):
            self._compare(shard, worker.overlay.states(shard), "at its first completion")
        return True

    def _bent(self, worker: _Aggregator, shard: int, found: Partial) -> Partial:
        """Return chained statistics with a sequence that fits, where a rule is left out."""
        if not isinstance(found, Statistics):
            return found
        last = min(int(s.chain[found.partition]) for s in worker.overlay.states(shard))
        ahead, again = found.sequence > last + 1, found.sequence <= last
        if ahead and not self.rules.chain_wants_successor:
            for bucket, state in worker.overlay._states[shard].items():
                chain = state.chain.copy()
                chain[found.partition] = found.sequence - 1
                worker.overlay._states[shard][bucket] = replace(state, chain=chain)
        if again and not self.rules.skips_older_sequence:
            return replace(found, sequence=last + 1)
        return found

    def _flush(self, worker: _Aggregator | None = None) -> None:
        worker = worker or self.chance.choice(self.aggregators)
        worker.flying.extend(worker.overlay.flush())
        for shard, at in worker.at.items():
            self.group_position[shard] = at

    def _write(self, worker: _Aggregator | None = None) -> bool:
        worker = worker or self.chance.choice(self.aggregators)
        if not worker.flying:
            return False
        shard, key, value = worker.flying.popleft()
        self.changelog[shard].append((key, value))
        return True

    # Faults

    def _bury(self, worker: _Activator) -> None:
        """A worker is gone; of what it had sent, the first few of each shard still land."""
        self.activators.remove(worker)
        for shard, queue in worker.flying.items():
            landing = self.chance.randrange(len(queue) + 1)
            self.partials[shard] += [record for record, _ in list(queue)[:landing]]
        lost = [p for p in range(2) if worker.owns.get(p) == self.epochs[p]]
        if not self.activators:
            self._hire_activators(1)
            return
        for partition in lost:
            self._assign_source(partition, self.chance.choice(self.activators))

    def _kill_activator(self) -> None:
        self._bury(self.chance.choice(self.activators))
        if len(self.activators) < 2:
            tables = self.scene.plan.clusters * self.scene.plan.tables
            self.activators.append(_Activator(TopKFilter(tables, self.scene.plan.table_k)))

    def _kill_aggregator(self) -> None:
        worker = self.chance.choice(self.aggregators)
        landing = self.chance.randrange(len(worker.flying) + 1)
        for shard, key, value in list(worker.flying)[:landing]:
            self.changelog[shard].append((key, value))
        self.aggregators.remove(worker)
        self.aggregators.append(_Aggregator(Overlay(self.scene.plan, least_pending=2)))
        for shard in range(2):
            if not any(shard in other.at for other in self.aggregators) or shard in worker.at:
                self._assign_shard(shard, self.chance.choice(self.aggregators))

    def _move(self) -> None:
        if self.chance.random() < 0.5:
            self._assign_source(self.chance.randrange(2), self.chance.choice(self.activators))
        else:
            self._assign_shard(self.chance.randrange(2), self.chance.choice(self.aggregators))

    def _compact(self) -> None:
        for shard in range(2):
            last = dict(self.changelog[shard])
            self.changelog[shard] = list(last.items())

    # The end

    def finish(self) -> None:
        """Bury everybody, hire one calm worker of each kind and let them come to the end."""
        for worker in list(self.aggregators):
            landing = self.chance.randrange(len(worker.flying) + 1)
            for shard, key, value in list(worker.flying)[:landing]:
                self.changelog[shard].append((key, value))
        self.aggregators.clear()
        for old in list(self.activators):
            for shard, queue in old.flying.items():
                landing = self.chance.randrange(len(queue) + 1)
                self.partials[shard] += [record for record, _ in list(queue)[:landing]]
        self.activators.clear()
        self._hire_activators(1)
        activator = self.activators[0]
        while self._compute(activator) or self._land(activator):
            self._acknowledge(activator)
        self._hire_aggregators(1)
        aggregator = self.aggregators[0]
        while self._apply(aggregator):
            pass
        for shard in range(2):
            if aggregator.overlay.is_complete(shard):
                self._compare(shard, aggregator.overlay.states(shard), "at the end")
            else:
                self.wrong.append(INCOMPLETE)

    def _compare(self, shard: int, states: list[BucketState], when: str) -> None:
        expected = self.scene.expected.get(shard, [])
        for got, want in zip(states, expected, strict=False):
            if _content(got) != _content(want):
                self.wrong.append(f"shard {shard}, bucket {got.bucket} {when}")


def _content(state: BucketState) -> bytes:
    """Return what a bucket comes to, without how it came to it."""
    hits = take(state.hits, rank(state.hits))
    nothing = np.zeros_like(state.chain)
    return codec.encode(replace(state, position=0, hits=hits, chain=nothing, batches=nothing))
