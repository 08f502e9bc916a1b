"""Random schedules of faults against the core: exact with every rule, wrong without each of them.

MILLRACE_SCHEDULES sets how many schedules are tried (4,000 by default, in CI too); a failing seed
is in the message, and ``simulate(SCENE, seed)`` replays it.
"""

import os
from dataclasses import replace

import numpy as np
import pytest

from streams.records.measures import measure, statistics
from tests.consumers.default_measures import default_measures
from tests.consumers.simulation import EVERY_RULE, INCOMPLETE, Rules, make_scene, simulate

SCHEDULES = int(os.environ.get("MILLRACE_SCHEDULES", "4000"))
GROUPS = 16
SCENE = make_scene()
RULES = sorted(Rules.__dataclass_fields__)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("group", range(GROUPS))
def test_every_schedule_is_exact(group: int) -> None:
    for seed in range(group, SCHEDULES, GROUPS):
        wrong = simulate(SCENE, seed)
        assert not wrong, f"schedule {seed}: {', '.join(wrong)}"


def test_tables_of_several_rankings_are_exact_each_with_its_own_k() -> None:
    names = ("random=2", "maximum=1", "intervals=1", "shared=3", "mean=2")
    scene = make_scene(rankings=names, edges=np.array([1.0], np.float32), bucket_bytes=4000)
    for seed in range(100):
        assert simulate(scene, seed) == []


def test_sums_by_key_in_values_of_their_own_are_exact() -> None:
    tokens = measure("tokens@2", budget=3, one_in=1, sketch=2)
    scene = make_scene(statistics=(*statistics(), tokens), bucket_bytes=4000)
    for seed in range(40):
        assert simulate(scene, seed) == []
    rules = replace(EVERY_RULE, starts_at_smallest_position=False)
    assert any(simulate(scene, seed, rules) for seed in range(150))


def test_all_that_a_run_has_by_default_is_exact() -> None:
    scene = make_scene(bucket_bytes=40_000, **default_measures(clusters=4, k=2))
    assert [len(states) for states in scene.expected.values()] == [2, 2]
    for seed in range(40):
        assert simulate(scene, seed) == []
    rules = replace(EVERY_RULE, starts_at_smallest_position=False)
    assert any(simulate(scene, seed, rules) for seed in range(150))


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"chain_wants_successor"}))
def test_without_a_rule_some_schedule_goes_wrong(rule: str) -> None:
    rules = replace(EVERY_RULE, **{rule: False})
    assert any(simulate(SCENE, seed, rules) for seed in range(1500))


def test_a_gap_leaves_the_chain_incomplete_and_never_the_numbers_wrong() -> None:
    careless = replace(EVERY_RULE, dies_of_a_failed_send=False)
    outcomes = [simulate(SCENE, seed, careless) for seed in range(120)]
    assert any(INCOMPLETE in wrong for wrong in outcomes)
    hits_may_be_lost = [w for wrong in outcomes for w in wrong if w != INCOMPLETE]
    careless_chain = replace(careless, chain_wants_successor=False)
    without = [w for seed in range(120) for w in simulate(SCENE, seed, careless_chain)]
    assert len([w for w in without if w != INCOMPLETE]) > len(hits_may_be_lost)


def test_a_seed_replays_to_the_same_end() -> None:
    rules = replace(EVERY_RULE, delivers_contiguously=False)
    outcomes = [simulate(SCENE, seed, rules) for seed in range(20)]
    assert outcomes == [simulate(SCENE, seed, rules) for seed in range(20)]
    assert any(outcomes)
