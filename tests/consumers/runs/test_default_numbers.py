"""Default numbers: what a run has unless its settings say otherwise, by its width, and its room."""

import json
from dataclasses import replace
from typing import Any

import pytest

from consumers.plan import make_plan
from consumers.runs.default_numbers import (
    RANKED,
    default_rankings,
    default_statistics,
    fitting,
    numbers,
    usual_bucket_bytes,
)
from consumers.runs.specs import DEFAULT, ModelSpec, RunSpec
from consumers.selection.device.selection import without_device_form
from consumers.statistics.registry import OPTIONAL
from streams.errors import RunError
from streams.records.measures import bare_name, parameters_of
from tests import factories

ALL: dict[str, Any] = {"statistics": (DEFAULT,), "rankings": (DEFAULT,)}


def wanted(clusters: int, **chosen: Any) -> dict[str, dict[str, Any]]:
    """Return the parameters of each number beside those of every run, by its name."""
    found = numbers(_spec(**chosen), clusters)
    return {
        bare_name(each): json.loads(each.parameters)
        for each in (*found.statistics, *found.rankings)
    }


def _spec(**chosen: Any) -> RunSpec:
    return RunSpec(name="run", store="store", model=ModelSpec(), sources=(), **chosen)


def test_by_default_a_run_has_all_but_what_encodes_again() -> None:
    found = wanted(64, **ALL)
    every = {*OPTIONAL, "maximum", "random", "intervals", "shared"}
    assert set(found) == every - {"noise_robustness", "hook_values"}
    assert found["tokens"] == {"budget": 128, "one_in": 1, "sketch": 256}
    assert wanted(64) == {"maximum": {"k": 100}}


def test_the_share_of_rows_and_the_state_follow_the_width() -> None:
    before = 0
    for clusters in (1, 1000, 4096, 16_384, 65_536, 131_072, 2**20):
        found = wanted(clusters, **ALL)
        tokens = found["tokens"]
        assert tokens["one_in"] >= before
        before = tokens["one_in"]
        entries = 1 + max(tokens["budget"], 4 * tokens["sketch"])
        assert clusters * entries * 36 <= max(320e6, clusters * 65 * 36)
        assert found["random"]["k"] + 66 * found["intervals"]["k"] <= 300
        assert found["shared"]["k"] * clusters <= max(50 * 65_536, 50 * clusters)
    assert before == 1024


def test_every_cluster_is_known_in_a_thousand_rows_where_that_is_cheap() -> None:
    rows = {width: wanted(width, **ALL)["shared"]["k"] for width in (1, 3276, 16_384, 65_536)}
    assert rows == {1: 1000, 3276: 1000, 16_384: 200, 65_536: 50}
    assert wanted(2**20, **ALL)["shared"]["k"] == 50


def test_what_a_run_has_can_be_chosen_one_by_one() -> None:
    usual = wanted(65_536, **ALL)
    for name in set(usual) - {"maximum"}:
        without = wanted(65_536, without=(name,), **ALL)
        assert without == {each: usual[each] for each in usual if each != name}
    assert wanted(65_536, without=(DEFAULT,), **ALL) == {"maximum": {"k": 100}}
    chosen = wanted(
        65_536,
        statistics=(DEFAULT, "tokens=budget:7", "noise_robustness"),
        rankings=(DEFAULT, "random=3"),
        parameters={"tokens": {"budget": 9, "one_in": 5}, "domains": {"budget": 2}},
        without=("place",),
    )
    assert chosen["tokens"] == {"budget": 7, "one_in": 5, "sketch": usual["tokens"]["sketch"]}
    assert (chosen["domains"], chosen["random"]) == ({"budget": 2}, {"k": 3})
    assert set(chosen) == {*usual, "noise_robustness"} - {"place"}
    few = wanted(8, k=2, **ALL)
    assert (few["random"], few["intervals"], few["shared"]) == ({"k": 2}, {"k": 2}, {"k": 1000})


@pytest.mark.parametrize("without", ["activation", "Tokens", "best", ""])
def test_what_cannot_be_left_out_is_named(without: str) -> None:
    with pytest.raises(RunError, match=r"^without .*take statistics, .* or default for all"):
        wanted(8, without=(without,), **ALL)


def test_a_wide_dictionary_and_a_large_cluster_find_room(caplog: pytest.LogCaptureFixture) -> None:
    def run(clusters: int, **changes: Any) -> Any:
        found = numbers(_spec(**ALL), clusters)
        made = factories.run_record(**changes)
        return replace(
            made,
            statistics=(*made.statistics, *found.statistics),
            rankings=found.rankings,
            record_bytes=32 * 2**20,
            bucket_bytes=8 * 2**20,
        ), found.by_default

    wide, by_default = run(65_536, sources=(factories.source(components=65_536),), context=1024)
    whole = fitting(wide, by_default).run
    assert (whole.statistics, whole.rankings) == (wide.statistics, wide.rankings)
    many = make_plan(wide)
    assert len(many.rankings) == 4
    size = usual_bucket_bytes(wide.record_bytes)
    few = make_plan(replace(wide, bucket_bytes=size))
    assert len(few.bucket_first) < 0.6 * len(many.bucket_first)
    assert usual_bucket_bytes(2**20) == 8 * 2**20 == wide.bucket_bytes
    # A cluster of 100 features: with `maximum` alone its tables fit one record, not with all.
    members = [(0, number) for number in range(100)]
    large, by_default = run(
        101,
        sources=(factories.source(components=100),),
        clusterings=(factories.clustering({"large": members}),),
        context=256,
    )
    with pytest.raises(RunError, match="one record holds"):
        make_plan(large)
    fitted = fitting(large, by_default).run
    gone = {bare_name(each) for each in (*large.statistics, *large.rankings)} - {
        bare_name(each) for each in (*fitted.statistics, *fitted.rankings)
    }
    assert gone == {"intervals", "random"}
    assert {bare_name(each): parameters_of(each)["k"] for each in fitted.rankings} == {
        "maximum": 100,
        "shared": 50,
    }
    assert "shared keeps 50 rows" in caplog.text
    smaller, by_default = run(
        31,
        sources=(factories.source(components=30),),
        clusterings=(factories.clustering({"smaller": members[:30]}),),
        context=128,
    )
    fitted = fitting(smaller, by_default).run
    assert fitted.statistics == smaller.statistics
    assert [bare_name(each) for each in fitted.rankings] == [
        bare_name(each) for each in smaller.rankings
    ], "fewer shared rows are enough"
    with pytest.raises(RunError, match="one record holds"):
        fitting(replace(large, record_bytes=2**20), by_default)


def test_names_are_those_of_the_registries() -> None:
    assert set(default_statistics(1)) < set(OPTIONAL)
    assert {each.partition("=")[0] for each in default_rankings(1, 5)} < set(RANKED)


def test_a_gpu_computes_all_default_numbers_itself() -> None:
    found = numbers(_spec(**ALL), 64)
    base = factories.run_record()
    run = replace(base, statistics=(*base.statistics, *found.statistics), rankings=found.rankings)
    assert without_device_form(make_plan(run)) == []
