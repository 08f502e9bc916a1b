"""Selection in torch operations against the host's, fed the same activations: equal bits."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from consumers.activations.device_activations import from_host
from consumers.activations.engine import Activations
from consumers.plan import Plan
from consumers.rankings.registry import RANKINGS
from consumers.selection.device.selection import DeviceSelector
from consumers.selection.selection import Candidates, select, valid_tokens, with_rows
from consumers.selection.topk_filter import TopKFilter
from consumers.statistics.registry import OPTIONAL, STATISTICS, optional_statistics
from streams.arrays import F32, I64, Bool
from streams.errors import OverflowingSumError
from streams.records.corpus import TokenBatch
from streams.records.hits import Hits, take
from streams.records.measures import measure, statistics
from tests import factories
from tests.consumers.on_device import OnDevice
from tests.consumers.selection.test_selection import PLAN, cases, sparse
from tests.service import make_service
from tests.streams.same import bits
from tests.streams.strategies import quick

CPU = torch.device("cpu")
EVERYTHING = tuple(each.name.partition("@")[0] for each in RANKINGS)


def kept(plan: Plan, valid: Bool, dense: F32) -> Activations:
    """Return dense values [component, row, position] where they are valid and not dropped."""
    dense = dense * valid
    for number, source in enumerate(plan.run.sources):
        dense[[int(plan.component_first[number]) + index for index in source.dropped]] = 0
    return sparse(plan, dense)


def assert_same(
    plan: Plan, batch: TokenBatch, valid: Bool, found: Activations, least: F32, most: int = 9
) -> tuple[int, int]:
    """Compare all that a batch leads to; return how many sums and hits there were.

    most: values that are selected from at a time, the second time.
    """
    here = select(plan, batch, valid, found, least)
    tensors = from_host(found, plan.components, valid.shape[1])
    there = DeviceSelector(plan, CPU).select(batch, valid, tensors, least)
    assert bits(there.tally) == bits(here.tally)
    every = unbeaten(plan, here.candidates)
    assert bits(there.candidates) == bits(at(here.candidates, every))
    for which in (slice(None), slice(None, None, -2)):
        chosen = np.arange(len(every))[which]
        assert bits(there.with_rows(chosen)) == bits(with_rows(here, every[chosen]))
    winners = [passing(plan, each) for each in (here.candidates, there.candidates)]
    assert every[winners[1]].tolist() == winners[0].tolist()
    cut = DeviceSelector(plan, CPU, most).select(batch, valid, tensors, least)
    assert len(cut.slabs) > 1 or len(found.value) <= most or len(valid) == 1
    assert bits(cut.tally) == bits(here.tally)
    sent = with_rows(here, winners[0])
    assert bits(by_table(cut.with_rows(passing(plan, cut.candidates)))) == bits(by_table(sent))
    assert bits(cut.tokens_to_host()) == bits(here.tokens)
    return len(here.tally.count), len(every)


def by_table(hits: Hits) -> Hits:
    """Return hits as a worker sends them."""
    return take(hits, np.argsort(hits.table, kind="stable"))


def unbeaten(plan: Plan, found: Candidates) -> I64:
    """Return which candidates fewer than k other samples of their table beat by score.

    All of those of rankings without a form for devices.
    """
    tables = [
        on_device(each.ranking) for each in plan.rankings for _ in range(each.first, each.stop)
    ]
    kept = list[int]()
    samples = list(zip(found.sample_high.tolist(), found.sample_low.tolist(), strict=True))
    for number, table in enumerate(found.table.tolist()):
        others = np.flatnonzero((found.table == table) & (found.score > found.score[number]))
        beaten = (
            len({samples[other] for other in others.tolist()}) >= plan.table_k[table % len(tables)]
        )
        if not (tables[table % len(tables)] and beaten):
            kept.append(number)
    return np.array(kept, np.int64)


def at(found: Candidates, which: I64) -> Candidates:
    return replace(found, **{f.name: getattr(found, f.name)[which] for f in fields(found)})


def passing(plan: Plan, found: Candidates) -> I64:
    """Return which candidates a worker that has seen nothing else sends."""
    seen = TopKFilter(plan.clusters * plan.tables, plan.table_k)
    seen.see(found)
    return np.flatnonzero(seen.unbeaten(found))


EVERY_STATISTIC = (
    *PLAN.run.statistics,
    *optional_statistics(OPTIONAL, {"tokens": {"one_in": 2}, "position": {"bins": 3}}),
)
EVERY = factories.plan(
    sources=PLAN.run.sources,
    clusterings=PLAN.run.clusterings,
    rankings=tuple(f"{name}={1 + number % 2}" for number, name in enumerate(EVERYTHING)),
    statistics=EVERY_STATISTIC,
    bucket_bytes=10**6,
)
"""Each ranking has fewer rows a table than batches have, so that these beat some themselves."""


@quick
@given(cases(), st.data())
def test_any_batch_of_every_kind_of_source_and_cluster_by_every_statistic_and_ranking(case, data):
    drawn, batch, dense = case
    masked = drawn.run.masked_positions
    plan = replace(EVERY, run=replace(EVERY.run, masked_positions=masked))
    tables = plan.clusters * plan.tables
    # Of activations and of hashes, which are below 0.
    scores = st.sampled_from([-np.inf, -np.inf, -(2.0**52), -(2.0**50), 0.25, 0.5, 2.0])
    seed = data.draw(st.integers(0, 99))
    some = data.draw(st.lists(scores, min_size=1, max_size=9))
    least = np.random.default_rng(seed).choice(np.array(some, np.float32), tables)
    domains = st.sampled_from(["", "code", "prose", "x" * 300])
    batch = replace(batch, domains=tuple(data.draw(domains) for _ in batch.domains))
    valid = valid_tokens(plan, batch)
    # The same context has the same activations wherever it stands.
    _, first, number = np.unique(
        batch.keys.view("V16")[:, 0], return_index=True, return_inverse=True
    )
    dense = dense[:, first[number]]
    most = data.draw(st.sampled_from([1, 2, 5, 20]))
    assert_same(plan, batch, valid, kept(plan, valid, dense), least, most)


OVERLAPPING = factories.clustering(
    {
        "both": [(0, 1), (1, 3), (0, 7)],
        "neurons": [(1, i) for i in range(12)],
        "one": [(1, 5)],
        "dropped": [(0, 2)],
        "far": [(1, 11), (0, 0)],
    }
)
SOURCES = (
    factories.source("sae", coactivation=True, dropped=(2, 5)),
    factories.source("neurons", kind="neurons", sign="absolute", threshold=0.5, singles=False),
    factories.source("down", kind="weights", sign="negative"),
)
PLANS = {
    "singles": factories.plan(clusterings=()),
    "singles of several sources": factories.plan(sources=SOURCES, clusterings=()),
    "overlapping clusters across sources": factories.plan(
        sources=SOURCES, clusterings=(OVERLAPPING,)
    ),
    "every statistic and ranking": factories.plan(
        sources=SOURCES,
        clusterings=(OVERLAPPING,),
        rankings=EVERYTHING,
        statistics=EVERY_STATISTIC,
    ),
    "bins of unequal width": factories.plan(
        sources=SOURCES,
        clusterings=(OVERLAPPING,),
        statistics=(
            *PLAN.run.statistics,
            measure("peak_position@1", bins=3),
            measure("position@1", bins=5),
        ),
    ),
}


def tagged(batches: list[TokenBatch]) -> list[TokenBatch]:
    """Return batches whose rows are of several domains, and of none."""
    domains = [("prose", "", "code", "x" * 300, "prose")[n % 5] for n in range(len(batches[0].ids))]
    return [replace(each, domains=tuple(domains)) for each in batches]


@pytest.mark.parametrize("name", PLANS)
def test_batches_with_ties_repeated_contexts_and_masks(name: str) -> None:
    plan = PLANS[name]
    random, engine = np.random.default_rng(5), factories.DenseEngine(plan)
    sums = hits = 0
    for number, batch in enumerate(tagged(factories.batches(per_partition=3, rows=9))):
        valid = valid_tokens(plan, batch)
        least = np.full(plan.clusters * plan.tables, -np.inf, np.float32)
        if number % 2:
            least = random.choice([-np.inf, 0.5, 1.0, 1.75], len(least)).astype(np.float32)
        found = assert_same(plan, batch, valid, engine.compute(batch, valid), least)
        sums, hits = sums + found[0], hits + found[1]
    assert sums > 500
    assert hits > 200


def test_rows_of_one_token_and_a_single_row() -> None:
    for name, shape in (("every statistic and ranking", (7, 1)), ("singles", (1, 6))):
        plan = PLANS[name]
        random = np.random.default_rng(2)
        # Different contexts: where one comes again, its values are the same.
        ids = np.arange(1, shape[0] * shape[1] + 1).reshape(shape)
        batch = factories.batch(ids, [shape[1]] * shape[0])
        valid = np.ones(shape, np.bool_)
        dense = random.integers(-3, 4, (plan.components, *shape)).astype(np.float32)
        least = np.full(plan.clusters * plan.tables, -np.inf, np.float32)
        found = kept(plan, valid, dense * (dense > 0) if name == "singles" else dense)
        assert assert_same(plan, batch, valid, found, least)[1] > 10


def test_what_k_samples_of_the_batch_beat_stays_on_the_device() -> None:
    plan = factories.plan(clusterings=(), sources=(factories.source(components=3),), k=2)
    # Rows 0, 1 and 3 are one sample: it counts once, and of equal scores all pass.
    ids = [[1] * 6, [1] * 6, [2] * 6, [1] * 6, [3] * 6, [4] * 6]
    batch, valid = factories.batch(ids, [6] * 6), np.ones((6, 6), np.bool_)
    dense = np.zeros((plan.components, 6, 6), np.float32)
    dense[0, :, 2] = [9, 9, 2, 9, 2, 1]
    dense[2, :, 5] = [1, 1, 3, 1, 4, 5]
    least = np.full(plan.clusters * plan.tables, -np.inf, np.float32)
    found = kept(plan, valid, dense)
    selected = DeviceSelector(plan, CPU).select(
        batch, valid, from_host(found, plan.components, 6), least
    )
    assert plan.run.ranking_names == ("maximum", "last")
    rows = selected.candidates.row
    by_table = {n: rows[selected.candidates.table == n].tolist() for n in range(3 * plan.tables)}
    assert by_table == {0: [0, 1, 2, 3, 4], 1: [], 2: [], 3: [], 4: [4, 5], 5: [4, 5]}
    assert_same(plan, batch, valid, found, least)


def test_a_batch_without_an_activation() -> None:
    for plan in PLANS.values():
        batch = factories.batch(np.ones((3, 6)), [6, 2, 0])
        valid = valid_tokens(plan, batch)
        least = np.full(plan.clusters * plan.tables, -np.inf, np.float32)
        none = kept(plan, valid, np.zeros((plan.components, 3, 6), np.float32))
        assert assert_same(plan, batch, valid, none, least)[1] == 0


def test_sums_round_each_token_half_to_even_and_refuse_what_is_too_large() -> None:
    plan = factories.plan(clusterings=(), sum_bits=3, sources=(factories.source(components=4),))
    batch = factories.batch(np.ones((2, 6)), [6, 6])
    valid = np.ones((2, 6), np.bool_)
    least = np.full(plan.clusters * plan.tables, -np.inf, np.float32)
    halves = ((np.arange(48).reshape(4, 2, 6) + 0.5) / 8).astype(np.float32)
    assert_same(plan, batch, valid, kept(plan, valid, halves), least)
    assert_same(plan, batch, valid, kept(plan, valid, (halves * 2.0**40).astype(np.float32)), least)
    large = from_host(kept(plan, valid, np.full_like(halves, 2.0**57)), plan.components, 6)
    with pytest.raises(OverflowingSumError, match="too large for sums in units of 2"):
        DeviceSelector(plan, CPU).select(batch, valid, large, least)


@quick
@given(st.lists(st.integers(1, 2**49), min_size=1, max_size=40), st.integers(0, 30))
def test_squares_are_summed_to_the_last_bit_and_carried_between_slabs(values, halvings):
    plan = squares_plan(0)
    dense = np.zeros((plan.components, 5, 8), np.float32)
    dense.reshape(-1)[: len(values)] = np.array(values) // 2**halvings
    batch, valid = factories.batch(np.ones((5, 8)), [8] * 5), np.ones((5, 8), np.bool_)
    least = np.full(plan.clusters * plan.tables, np.inf, np.float32)
    assert_same(plan, batch, valid, kept(plan, valid, dense), least)


def test_squares_that_do_not_fit_are_refused_as_on_the_host() -> None:
    plan = squares_plan(3)
    batch, valid = factories.batch(np.ones((2, 40)), [40] * 2), np.ones((2, 40), np.bool_)
    least = np.full(plan.clusters * plan.tables, np.inf, np.float32)
    most = np.nextafter(np.float32(2.0**47), np.float32(0))
    fitting = np.full((1, 2, 40), 0.5, np.float32)
    fitting[0, 0, :3] = most
    assert_same(plan, batch, valid, kept(plan, valid, fitting), least)
    for large in (np.full((1, 2, 40), most), fitting + np.float32(2.0**47)):
        found = kept(plan, valid, large)
        with pytest.raises(OverflowingSumError) as here:
            select(plan, batch, valid, found, least)
        with pytest.raises(OverflowingSumError, match=r"squares .* fewer sum_bits") as there:
            DeviceSelector(plan, CPU).select(batch, valid, from_host(found, 1, 40), least)
        assert str(here.value) == str(there.value)
        with pytest.raises(OverflowingSumError):
            DeviceSelector(plan, CPU, 9).select(batch, valid, from_host(found, 1, 40), least)


def squares_plan(sum_bits: int) -> Plan:
    """Return a run of one feature that sums squares in units of 4**-sum_bits."""
    return factories.plan(
        statistics=(*statistics(sum_bits), *optional_statistics(("distribution",))),
        sources=(factories.source(components=1),),
        clusterings=(),
        context=40,
    )


def on_device(each: Any) -> bool:
    return hasattr(each, "contribute_on_device") or hasattr(each, "candidates_on_device")


def test_all_statistics_and_most_rankings_have_a_form_for_devices() -> None:
    names = {name for each in STATISTICS if on_device(each) for name in each.names}
    assert names == {name for each in STATISTICS for name in each.names}
    assert {each.name for each in RANKINGS if not on_device(each)} == {
        "mean@1",
        "sum@1",
        "minimum@1",
    }


def test_what_has_no_form_for_a_device_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    DeviceSelector(PLANS["singles"], CPU)
    assert not caplog.records
    DeviceSelector(PLANS["every statistic and ranking"], CPU)
    (record,) = caplog.records
    said = record.getMessage()
    assert set(said.split(" have ")[0].split(", ")) == {
        *(each.names[0].partition("@")[0] for each in STATISTICS if not on_device(each)),
        *(each.name.partition("@")[0] for each in RANKINGS if not on_device(each)),
    }
    assert "no form for cpu: what they read is brought to the host" in said


def test_the_final_snapshot_is_the_oracles(tmp_path: Path) -> None:
    service = make_service("memory://device", tmp_path, "device")
    service = replace(service, engine=OnDevice(service.engine))
    service.serve(2, 1)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
