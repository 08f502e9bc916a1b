"""What each number costs: foreseen from the first rows, against the bytes of a drawn run."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from consumers.activations.engine import Activations
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan, make_plan
from consumers.rankings.registry import rankings
from consumers.runs.number_costs import NumberCost, cost_line, number_costs
from consumers.selection.selection import cluster_activity
from consumers.selection.worker import ActivationWorker, Computed
from consumers.statistics.registry import optional_statistics
from streams.records.corpus import TokenBatch
from tests import factories

FEATURES, ROWS, CONTEXT, BATCHES, VOCABULARY = 256, 16, 64, 4, 2000


def drawn(number: int) -> Computed:
    """Return a batch in which features fire in bursts, about 20 a token."""
    random = np.random.default_rng(number)
    feature = np.repeat(np.arange(FEATURES), random.poisson(ROWS * CONTEXT / 25, FEATURES))
    begin = random.integers(0, ROWS * CONTEXT - 2, len(feature))
    at = np.unique((feature * ROWS * CONTEXT + begin)[:, None] + np.arange(2))
    feature, token = np.divmod(at, ROWS * CONTEXT)
    value = random.exponential(1.0, len(at)).astype(np.float32) + np.float32(2**-10)
    row, position = np.divmod(token.astype(np.int32), np.int32(CONTEXT))
    ids = random.integers(0, VOCABULARY, (ROWS, CONTEXT)).astype(np.uint32)
    keys = random.integers(0, 256, (ROWS, 16)).astype(np.uint8)
    domains = tuple(f"domain {n}" for n in random.integers(0, 5, ROWS))
    valid = np.ones((ROWS, CONTEXT), np.bool_)
    batch = TokenBatch("text", 0, number, ids, valid, keys, ("",) * ROWS, domains)
    return Computed(batch, valid, Activations(feature, row, position, value))


BATCHES_DRAWN = [drawn(number) for number in range(BATCHES)]


def plan_of(statistics: tuple[str, ...] = (), ranked: tuple[str, ...] = ()) -> Plan:
    run = factories.run_record(
        sources=(factories.source(components=FEATURES),), context=CONTEXT, partitions=1, shards=1
    )
    return make_plan(
        replace(
            run,
            statistics=(*run.statistics, *optional_statistics(statistics)),
            rankings=rankings(("maximum", *ranked), 10),
            model=replace(run.model, vocabulary=VOCABULARY),
            record_bytes=2**24,
            bucket_bytes=2**20,
        )
    )


def measured(plan: Plan) -> tuple[int, float]:
    """Return bytes of state, and bytes a token on the bus."""
    worker, overlay, bus, offset = ActivationWorker(plan, None), Overlay(plan), 0, 0  # type: ignore[arg-type]
    overlay.load(0, ())
    for computed in BATCHES_DRAWN:
        for record in worker.select(computed).records:
            bus += len(record.value)
            overlay.apply(0, offset, partial(plan, 0, record.kind, record.value))
            offset += 1
    state = sum(len(value) for _, _, value in overlay.flush())
    return state, bus / (BATCHES * ROWS * CONTEXT)


@cache
def plain() -> tuple[int, float]:
    return measured(plan_of())


def cost(plan: Plan) -> NumberCost:
    batch, valid = BATCHES_DRAWN[0].batch, BATCHES_DRAWN[0].valid
    activity = cluster_activity(plan, batch, valid, BATCHES_DRAWN[0].activations)  # type: ignore[arg-type]
    (found,) = number_costs(plan, activity, BATCHES * ROWS)
    return found


@pytest.mark.parametrize(
    "statistic",
    [
        "tokens=one_in:2,budget:64,sketch:16",
        "domains",
        "row_maximum",
        "peak_position",
        "position",
        "place",
        "distribution",
    ],
)
def test_a_statistic_takes_what_is_foreseen(statistic: str) -> None:
    plan = plan_of((statistic,))
    (state, bus), found = measured(plan), cost(plan)
    assert found.name == statistic.partition("=")[0]
    assert 0 < state - plain()[0] <= found.state
    assert found.bus is not None
    least = 0.05 if statistic == "place" else 0.4  # whose numbers are alike in most clusters
    assert least < (bus - plain()[1]) / found.bus < 2.5


@pytest.mark.parametrize("ranking", ["random=5", "shared=10", "intervals=1"])
def test_a_ranking_takes_at_most_what_is_foreseen(ranking: str) -> None:
    plan = plan_of((), (ranking,))
    (state, bus), found = measured(plan), cost(plan)
    assert 0 < state - plain()[0] <= found.state
    assert found.bus is not None
    assert found.bus / 5 < bus - plain()[1] < found.bus


def test_costs_without_rows_are_those_of_the_state() -> None:
    costs = number_costs(plan_of(("place", "domains"), ("shared",)))
    assert [(each.name, each.bus) for each in costs] == [
        ("place", None), ("domains", None), ("shared", None)
    ]  # fmt: skip
    line = cost_line(costs)
    assert re.match("place, domains, shared: at most [1-9] MB of state; millrace check", line)
    assert "bus" not in line
