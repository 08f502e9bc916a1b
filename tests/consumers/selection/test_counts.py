"""Gates on counts instead of times: what a batch costs in Python must not grow with features."""

import sys
from typing import Any

import numpy as np
import pytest

from consumers.activations.engine import Activations
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan, make_plan
from consumers.selection.worker import ActivationWorker
from streams import topics
from streams.wire import codec
from tests import factories

POSITIONS = 8


class Everything:
    """Every component fires at every token."""

    def __init__(self, plan: Plan) -> None:
        self.components = plan.components

    def compute(self, batch: Any, valid: Any) -> Activations:
        where = np.nonzero(np.broadcast_to(valid, (self.components, *valid.shape)))
        value = np.random.default_rng(batch.sequence).random(len(where[0]), dtype=np.float32) + 0.1
        return Activations(where[0], where[1].astype(np.int32), where[2].astype(np.int32), value)


def calls_of(work: Any) -> tuple[int, Any]:
    """Return how many Python functions some work calls, and its result."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        result = work()
    finally:
        sys.setprofile(None)
    return calls, result


def handled(components: int, rows: int) -> tuple[int, int]:
    """Return the Python calls of a worker's and of an aggregator's share of a batch."""
    run = factories.plan(
        sources=(factories.source(components=components, coactivation=True),),
        clusterings=(),
        shards=1,
        context=POSITIONS,
        bucket_bytes=2**24,
        record_bytes=2**26,
    ).run
    plan = make_plan(run)
    worker, overlay = ActivationWorker(plan, Everything(plan)), Overlay(plan)
    overlay.load(0, [])
    random = np.random.default_rng(0)
    offset = 0
    for sequence in range(3):  # the first ones compile and fill
        batch = factories.batch(
            random.integers(1, 20, (rows, POSITIONS)), [POSITIONS] * rows, 0, sequence
        )
        value = codec.encode(batch)
        headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: str(sequence).encode()}
        computing, outcome = calls_of(lambda v=value, h=headers: worker.handle(0, v, h))
        assert outcome.error is None
        applying = 0
        for record in outcome.records:
            more, _ = calls_of(
                lambda r=record, o=offset: overlay.apply(0, o, partial(plan, 0, r.kind, r.value))
            )
            applying, offset = applying + more, offset + 1
    return computing, applying


@pytest.mark.parametrize("rows", [4, 32])
def test_python_calls_per_batch_do_not_depend_on_the_number_of_features(rows):
    few, many = handled(8, rows), handled(128, rows)
    assert many[0] <= few[0] * 1.05
    assert many[1] <= few[1] * 1.05
    assert max(many) < 2000


def test_a_row_costs_its_names_only():
    """Document and domain are texts, read one by one; nothing else is done row by row."""
    few, many = handled(8, 4), handled(8, 32)
    assert many[0] - few[0] <= 28 * 10
    assert many[1] - few[1] <= few[1] * 0.05
