"""What each statistic and ranking of a run costs in state and on the bus: docs/numbers.md."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.activations.torch_engine import TorchEngine
from consumers.plan import Plan
from consumers.runs.measured_l0 import TOKENS, Sample
from consumers.selection.selection import cluster_activity, valid_tokens
from consumers.statistics.accumulators import Accumulator, Keyed, Sum, has_large_sums
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.layout import widths_of
from consumers.statistics.registry import REQUIRED
from consumers.statistics.statistic import name_of
from streams.arrays import I64
from streams.errors import NotFiniteError

# Bytes as packed in memory and in the changelog.
_HIT, _ENTRY, _MOMENTS = 28, 6, 16
# Bytes as packed on the bus: of a hit and of each token of it; of a number beside its own bits; of
# the key of sums by key, and of one that comes again in most clusters.
_SENT_HIT, _SENT_ENTRY, _SENT_NUMBER, _SENT_KEY, _SENT_NAME = 8, 4, 0.8, 6.0, 2.0
MAXIMUM = "maximum"


@dataclass(frozen=True, slots=True)
class NumberCost:
    """A statistic or ranking that a run need not have.

    state: bytes of all buckets together, at most. bus: bytes a token, about; None where no row was
    looked at. A ranking's is the mean over the corpus, or over the first million tokens.
    """

    name: str
    state: int
    bus: float | None


def number_costs(
    plan: Plan, activity: ClusterActivity | None = None, rows: int | None = None
) -> tuple[NumberCost, ...]:
    """Return what each optional statistic, and each ranking but ``maximum``, costs.

    activity: of the corpus' first rows; without it hits are taken to be active at two tokens. rows:
    of the corpus.
    """
    return (*_statistics(plan, activity), *_rankings(plan, activity, rows))


def sampled_costs(
    engine: TorchEngine, first_batch: Sample, rows: int | None
) -> tuple[NumberCost, ...]:
    """Return the costs by about 1,024 tokens of the first batch, if there are rows to compute."""
    batch = first_batch()
    if batch is None:
        return number_costs(engine.plan, rows=rows)
    some = batch.first_rows(math.ceil(TOKENS / max(1, batch.ids.shape[1])))
    valid = valid_tokens(engine.plan, some)
    try:
        found = engine.compute(some, valid)
    except NotFiniteError:
        return number_costs(engine.plan, rows=rows)
    return number_costs(engine.plan, cluster_activity(engine.plan, some, valid, found), rows)


def cost_line(costs: tuple[NumberCost, ...]) -> str:
    """Return in a line what all of them cost together."""
    state = sum(each.state for each in costs) / 1e6
    known = [each.bus for each in costs if each.bus is not None]
    bus = f" and about {sum(known):,.0f} bytes a token on the bus" if known else ""
    return (
        f"{', '.join(each.name for each in costs)}: at most {state:,.0f} MB of state{bus}; "
        "millrace check says it of each, --without NAME leaves one out"
    )


def _statistics(plan: Plan, activity: ClusterActivity | None) -> Iterator[NumberCost]:
    of = {name_of(each): tuple(each.accumulators(plan)) for each in plan.statistics}
    large = [name for name, accumulators in of.items() if has_large_sums(accumulators)]
    for statistic in plan.statistics:
        name = name_of(statistic)
        if name in REQUIRED:
            continue
        state = _state(plan, of[name], 8 if large else 4)
        if name == next(iter(large), ""):  # because of it all others take 8 bytes, not 1 to 4
            state += 7 * sum(_counters(plan, of[each]) for each in of if each in REQUIRED)
        bus = None
        if activity is not None:
            added = statistic.contribute(activity, plan.layout.addresses(name))
            bus = _sent(of[name], added) / max(1, int(activity.valid.sum()))
        yield NumberCost(name, state, bus)


def _state(plan: Plan, accumulators: Sequence[Accumulator], counter: int) -> int:
    """Return the most bytes that accumulators take in all buckets."""
    _, moments, keyed = widths_of(accumulators, plan.clusters)
    buckets = len(plan.bucket_first) - 1
    total = counter * _counters(plan, accumulators)
    total += _MOMENTS * int(moments.sum()) + int(keyed.sum())
    for each in accumulators:
        if isinstance(each, Keyed):
            total += buckets * each.text_bytes + (each.bytes if each.per == "run" else 0)
    return total


def _counters(plan: Plan, accumulators: Sequence[Accumulator]) -> int:
    sums, _, _ = widths_of(accumulators, plan.clusters)
    others = (each for each in accumulators if isinstance(each, Sum) and each.per != "cluster")
    return int(sums.sum()) + sum(
        int(np.max(each.width)) * (plan.components if each.per == "feature" else 1)
        for each in others
    )


def _sent(accumulators: Sequence[Accumulator], added: Contributions) -> float:
    """Return about how many bytes contributions take on the bus."""
    total = sum(_packed(values) for _, values in added.sums)
    total += sum(_packed(np.abs(each.sum)) for each in added.moments)
    named = {each.name: each.named for each in accumulators if isinstance(each, Keyed)}
    for name, each in added.keyed.items():
        total += _packed(each.value)
        total += len(each.key) * (_SENT_NAME if named[name] else _SENT_KEY)
    return total


def _packed(values: I64) -> float:
    """Return about how many bytes whole numbers from 0 on take, each with its address."""
    return float(_SENT_NUMBER * values.size + np.log2(np.maximum(values, 1)).sum() / 8)


def _rankings(
    plan: Plan, activity: ClusterActivity | None, rows: int | None
) -> Iterator[NumberCost]:
    tokens_of_hit, active = 2.0, None
    if activity is not None and len(activity.rows):
        lengths = activity.rows.stop - activity.rows.first
        tokens_of_hit = float(lengths.mean())
        active = len(activity.rows) / len(activity.valid)
    for each in plan.rankings:
        if each.name == MAXIMUM:
            continue
        held = each.most_hits if rows is None else min(each.most_hits, rows)
        state = plan.clusters * held * (_HIT + _ENTRY * tokens_of_hit)
        bus = None
        if active is not None and activity is not None:
            tokens = max(1.0, activity.valid.sum() / len(activity.valid))
            read = rows if rows is not None else 1e6 / tokens
            of_cluster = read * active / plan.clusters
            sent = min(of_cluster, held * (1 + math.log(max(1.0, of_cluster / held))))
            bus = sent * plan.clusters * (_SENT_HIT + _SENT_ENTRY * tokens_of_hit)
            bus /= read * tokens
            bus = float(bus)
        yield NumberCost(each.name, int(state), bus)
