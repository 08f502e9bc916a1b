import time
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from consumers.plan import make_plan
from millrace.cli import run_program
from streams import topics
from streams.catalog.runs import get_run
from streams.errors import RunError
from streams.records.measures import HISTOGRAM, Measure, measure, statistics
from streams.records.runs import RunRecord
from streams.transport.connect import connect
from streams.wire import codec
from tests import factories

BIG = partial(factories.source, components=2**22, singles=False)
GROUPS = factories.clustering({"a": [(0, 1), (0, 2)], "b": [(0, 3)]})


def grouped(**changes):
    return {"clusterings": (replace(GROUPS, **changes),)}


def sourced(**changes):
    return {"sources": (factories.source(**changes),)}


def histogram_with(parameters):
    return tuple(
        Measure(each.name, parameters if each.name == HISTOGRAM else each.parameters)
        for each in statistics()
    )


def ints(*values):
    return np.array(values, np.int32)


WRONG = {
    "shards 2**40": {"shards": 2**40},
    "shards -1": {"shards": -1},
    "shards 0": {"shards": 0},
    "partitions 2**31": {"partitions": 2**31},
    "context 2**40": {"context": 2**40},
    "k 2**62": {"k": 2**62},
    "k 0": {"k": 0},
    "sum_bits 1000": {"sum_bits": 1000},
    "record_bytes 2**40": {"record_bytes": 2**40},
    "bucket_bytes -1": {"bucket_bytes": -1},
    "components 2**33": sourced(components=2**33),
    "components -1": sourced(components=-1),
    "components together": {"sources": tuple(BIG(f"s{n}") for n in range(3))},
    "dropped": sourced(dropped=(12,)),
    "dropped -1": sourced(dropped=(-1,)),
    "threshold": sourced(threshold=float("nan")),
    "huge sizes": grouped(sizes=ints(2**31 - 1, 2**31 - 1)),
    "negative sizes": grouped(sizes=ints(4, -1)),
    "fewer sizes": grouped(sizes=ints(3)),
    "index": grouped(index=ints(1, 2, 12)),
    "index -1": grouped(index=ints(1, 2, -1)),
    "source": grouped(source=ints(0, 0, 1)),
    "fewer members": grouped(index=ints(1, 2)),
    "edges": {"edges": np.ones(5, np.float32)},
    "edges nan": {"statistics": histogram_with('{"edges":[NaN]}')},
    "many edges": {"edges": np.arange(5000, dtype=np.float32)},
    "masked ids": {"masked_ids": np.array([2**40])},
    "masked positions": {"masked_positions": np.array([-1])},
    "ranking": {"rankings": (measure("best@1", k=3),)},
    "store": {"store": "x" * 5000},
    "name": {"name": "../up"},
    "vocabulary": {"model": replace(factories.run_record().model, vocabulary=2**40)},
    "micro-batch": {"model": replace(factories.run_record().model, micro_batch=2**40)},
    "all at their most": {"k": 2**17, "context": 2**20, **grouped()},
}  # fmt: skip


@pytest.mark.parametrize("changes", WRONG.values(), ids=list(WRONG))
def test_a_record_outside_its_bounds_is_refused_before_anything_is_allocated(changes):
    given = {key: changes[key] for key in changes if key in ("statistics", "rankings")}
    others = {key: changes[key] for key in changes if key not in given}
    record = replace(factories.run_record(**others), **given)
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(RunError) as info:
            make_plan(record)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 2
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 500


@pytest.mark.parametrize("name", ["shards 2**40", "components 2**33", "k 2**62", "huge sizes"])
def test_such_a_record_on_the_topic_is_one_line_and_status_2(name, capfd):
    broker = f"memory://wrong-{abs(hash(name))}"
    client = connect(broker)
    client.create_topics(topics.SHARED)
    with client.sender() as sender:
        value = codec.encode(factories.run_record(**WRONG[name]))
        sender.send(topics.RUNS.name, 0, value, key=b"test")
        sender.flush()
    for arguments in (["repair", "--run", "test"], ["aggregates", "--run", "test"]):
        assert run_program([*arguments, "--broker", broker]) == 2
        [line] = [line for line in capfd.readouterr().err.splitlines() if line.strip()]
        assert "run 'test'" in line


def test_a_record_within_its_bounds_comes_back():
    record = factories.run_record()
    client = connect("memory://right")
    client.create_topics(topics.SHARED)
    with client.sender() as sender:
        sender.send(topics.RUNS.name, 0, codec.encode(record), key=b"test")
        sender.send(topics.RUNS.name, 0, codec.encode(record), key=b"other")
        sender.flush()
    assert codec.encode(get_run(client, "test")) == codec.encode(record)
    assert isinstance(get_run(client, "test"), RunRecord)
    with pytest.raises(RunError, match=r"the record of run 'other' .* is that of run 'test'"):
        get_run(client, "other")
