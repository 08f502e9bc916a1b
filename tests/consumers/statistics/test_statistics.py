"""Every registered statistic: however batches are split, ordered and repeated, its tables are those
of its plain recomputation."""

from dataclasses import replace
from itertools import cycle
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.aggregation.overlay import Overlay, partial
from consumers.oracle.oracle import Oracle
from consumers.plan import Plan, make_plan
from consumers.selection.worker import ActivationWorker
from consumers.snapshots.tables import statistics_tables
from consumers.statistics.parameters import filled
from consumers.statistics.registry import STATISTICS
from streams import topics
from streams.records.corpus import PartitionEnd, TokenBatch
from streams.records.measures import measure
from streams.wire import codec
from tests import factories
from tests.consumers.on_device import OnDevice
from tests.consumers.statistics.strong_rows import StrongRows

SOURCES = (
    factories.source(components=6, coactivation=True),
    factories.source("neurons", components=5, sign="absolute", threshold=0.5, singles=False),
    factories.source("minus", components=3, sign="negative", dropped=(1,)),
)
CLUSTERINGS = (
    factories.clustering({"a": [(0, 1), (1, 2), (2, 0)], "b": [(0, 2), (1, 3)], "empty": []}),
)
BASE = factories.run_record(sources=SOURCES, clusterings=CLUSTERINGS, k=1)
KNOWN = (*STATISTICS, StrongRows())
TIGHT: dict[str, dict[str, Any]] = {
    "domains@1": {"budget": 2},
    "health@1": {"one_in": 1},
    "hook_values@2": {"one_in": 1, "bits": 8},
    "noise_robustness@1": {"size": 0.5, "sizes": 3, "factor": 1.5},
    "peak_position@1": {"bins": 4},
    "position@1": {"bins": 5},
    "tokens@2": {"budget": 3, "one_in": 1, "sketch": 2},
}
"""Parameters under which budgets overflow and bins are of unequal width."""
FOUND: dict[str, dict[str, Any]] = {
    "health@1": {"widths": [3, 0, 2], "published": [7.5, 0.0, 0.0]},
    "hook_values@2": {"widths": [4, 4, 4]},
}
"""Parameters that follow from the sources of a run when it is created."""


def plan_with(tight: bool, **changes: Any) -> Plan:
    """Return the plan of a run that has every registered statistic."""
    base = {each.name: each for each in BASE.statistics}
    chosen = tuple(
        base.get(name)
        or measure(
            name,
            **filled(name, each.parameters, TIGHT.get(name, {}) if tight else {}),
            **(FOUND.get(name, {}) if tight else {}),
        )
        for each in KNOWN
        for name in each.names
    )
    return make_plan(replace(BASE, statistics=chosen, **changes), KNOWN)


PLANS = {
    "usual": plan_with(tight=False),
    "tight": plan_with(tight=True, shards=2, bucket_bytes=4000),
}


@st.composite
def schedules(draw: Any) -> tuple[str, list[TokenBatch], list[int], list[bool], list[bool]]:
    """Draw a plan, batches of domains, where each is sent again, where shards restart, and which
    workers select on a device."""
    seed = draw(st.integers(0, 2**16))
    made = factories.batches(per_partition=3, rows=3, seed=seed)
    partitions = draw(st.permutations([batch.partition for batch in made]))
    queues = [iter([b for b in made if b.partition == number]) for number in range(2)]
    made = [next(queues[number]) for number in partitions]
    domains = st.sampled_from(["", "code", "prose", "ünïcode", "x" * 300])
    tagged = [replace(b, domains=tuple(draw(domains) for _ in b.domains)) for b in made]
    again = draw(st.lists(st.integers(0, 2), min_size=len(made), max_size=len(made)))
    restarts = draw(st.lists(st.booleans(), min_size=8, max_size=8))
    devices = draw(st.lists(st.booleans(), min_size=2, max_size=5))
    return draw(st.sampled_from(sorted(PLANS))), tagged, again, restarts, devices


def through_service(
    plan: Plan,
    batches: list[TokenBatch],
    again: list[int],
    restarts: list[bool],
    devices: list[bool],
) -> dict[str, list[Any]]:
    """Return the rows of the statistics' tables, by way of records, overlay, flushes, restarts.

    devices: whether workers select on a device, one after the other.
    """
    engine = factories.DenseEngine(plan)
    workers = cycle([ActivationWorker(plan, OnDevice(engine) if on else engine) for on in devices])
    logs: list[list[Any]] = [[] for _ in range(plan.run.shards)]
    sent: dict[int, list[TokenBatch]] = {}
    for batch, back in zip(batches, again, strict=True):
        mine = sent.setdefault(batch.partition, [])
        mine.append(batch)
        for each in mine[len(mine) - 1 - min(back, len(mine) - 1) :]:
            headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: str(each.sequence).encode()}
            outcome = next(workers).handle(each.partition, codec.encode(each), headers)
            assert outcome.error is None
            for record in outcome.records:
                logs[record.shard].append(record)
    for partition, mine in sent.items():
        end = codec.encode(PartitionEnd("text", partition, len(mine), 0, 0))
        headers = {topics.KIND: topics.END, topics.SEQUENCE: str(len(mine)).encode()}
        for record in ActivationWorker(plan, engine).handle(partition, end, headers).records:
            logs[record.shard].append(record)
    found: dict[str, list[Any]] = {}
    for shard, log in enumerate(logs):
        for name, table in statistics_tables(plan, states_of(plan, shard, log, restarts)):
            found.setdefault(name, []).extend(table.to_pylist())
    return found


def states_of(plan: Plan, shard: int, log: list[Any], restarts: list[bool]) -> Any:
    """Return the states of a shard that flushes now and then, and may start again from there."""
    overlay = Overlay(plan)
    overlay.load(shard, ())
    table: dict[bytes, bytes] = {}
    offset = 0
    for restart in restarts:
        stop = min(offset + 3, len(log))
        for at in range(offset, stop):
            overlay.apply(shard, at, partial(plan, shard, log[at].kind, log[at].value))
        flushed = [(key, value) for _, key, value in overlay.flush()]
        table.update(flushed[::2] if restart else flushed)  # some buckets are behind
        offset = stop
        if restart:
            overlay = Overlay(plan)
            overlay.load(shard, table.items())
            offset = overlay.start(shard)
    for at in range(offset, len(log)):
        overlay.apply(shard, at, partial(plan, shard, log[at].kind, log[at].value))
    assert overlay.is_complete(shard)
    return overlay.states(shard)


@settings(max_examples=25)
@given(schedules())
def test_tables_are_those_of_the_plain_recomputation(schedule: Any) -> None:
    name, batches, again, restarts, devices = schedule
    plan = PLANS[name]
    oracle = Oracle(plan, factories.DenseEngine(plan))
    for batch in batches:
        oracle.add(batch)
    expected = oracle.tables([b"a"])
    found = through_service(plan, batches, again, restarts, devices)
    forms = [form for each in KNOWN for form in each.tables]
    assert sorted(found) == sorted(form.name for form in forms)
    for form in forms:
        assert found[form.name] == expected[form.name].to_pylist(), form.name
        keys = [tuple(row[column] for column in form.key) for row in found[form.name]]
        assert keys == sorted(set(keys)), form.name


@pytest.mark.parametrize("each", KNOWN, ids=lambda each: each.names[0])
def test_a_statistic_says_what_its_columns_are(each: Any) -> None:
    assert each.tables
    for form in each.tables:
        assert form.description
        assert set(form.key) <= {column.name for column in form.columns}
        for column in form.columns:
            counts = pa.types.is_int64(column.type) or pa.types.is_floating(column.type)
            assert column.description
            assert column.unit or not counts
            assert bool(column.error) == (column.meaning == "with error")
