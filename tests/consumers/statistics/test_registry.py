import pytest

from consumers.plan import make_plan
from consumers.statistics.registry import OPTIONAL, STATISTICS, optional_statistics
from streams.errors import RunError
from streams.records.measures import measure, statistics
from streams.records.run_identity import identity, run_id
from tests import factories

BASE = factories.run_record()


def with_more(*measures):
    return factories.run_record(statistics=(*BASE.statistics, *measures))


def test_names_and_tables_are_no_ones_else():
    names = [name for each in STATISTICS for name in each.names]
    tables = [form.name for each in STATISTICS for form in each.tables]
    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)
    assert set(names) >= {each.name for each in statistics()}


def test_optional_ones_get_their_default_parameters():
    assert optional_statistics(OPTIONAL[:1]) == (measure("peak_position@1", bins=32),)
    plan = make_plan(with_more(*optional_statistics(OPTIONAL)))
    assert len(plan.statistics) == len(STATISTICS)
    assert set(plan.forms) - set(make_plan(BASE).forms) == {
        form.name
        for each in STATISTICS
        for form in each.tables
        if each.names[0].partition("@")[0] in OPTIONAL
    }


@pytest.mark.parametrize(
    "names", [("peaks",), ("domains", "domains"), ("domains", "domains=budget:2")]
)
def test_others_are_refused_with_what_there_is(names):
    with pytest.raises(RunError, match=rf"statistics {names[0]}.*: take each of {OPTIONAL[0]}"):
        optional_statistics(names)


def test_parameters_stand_beside_the_name_or_in_a_table_and_change_the_run():
    tables = {"tokens": {"budget": 5, "one_in": 2}, "domains": {}}
    found = optional_statistics(("tokens=one_in:4,sketch:8", "position"), tables)
    assert found == (
        measure("tokens@2", budget=5, one_in=4, sketch=8),
        measure("position@1", bins=32),
        measure("domains@1", budget=64),
    )
    for statistic in OPTIONAL:  # the usual ones are those of a run that says nothing of them
        assert optional_statistics((), {statistic: {}}) == optional_statistics((statistic,))
    plain = with_more(*optional_statistics(("domains",)))
    same = with_more(*optional_statistics(("domains=budget:64",)))
    other = with_more(*optional_statistics(("domains=budget:65",)))
    assert (run_id(plain), identity(plain)) == (run_id(same), identity(same))
    assert run_id(plain) != run_id(other)
    assert identity(plain) != identity(other)


@pytest.mark.parametrize(
    ("name", "tables", "said"),
    [
        ("tokens=bugdet:3", {}, "tokens has no parameter 'bugdet': it has budget, one_in, sketch"),
        ("row_maximum=bins:3", {}, "row_maximum has no parameter 'bins': it has none"),
        ("tokens=budget:0", {}, "tokens: budget = 0; take a whole number from 1 to 65,536"),
        ("tokens=budget:1.5", {}, "budget = 1.5; take a whole number"),
        ("tokens=budget:nan", {}, "budget = nan; take a whole number"),
        ("tokens=budget:two", {}, "'tokens=budget:two': write NAME=PARAMETER:NUMBER"),
        ("tokens=", {}, "'tokens=': write NAME=PARAMETER:NUMBER"),
        ("tokens=budget:1,budget:2", {}, "write NAME=PARAMETER:NUMBER"),
        ("tokens", {"domains": {"budget": 2**13}}, "domains: budget = 8192; take .* to 4,096"),
        ("tokens", {"peaks": {}}, "statistics tokens, peaks: take each of"),
        ("activation", {}, "activation is in every run; .* edges and sum_bits under"),
        ("tokens", {"coactivation": {}}, "coactivation is in every run"),
    ],
)
def test_parameters_that_are_none_are_refused_in_one_line(name, tables, said):
    with pytest.raises(RunError, match=said) as refused:
        optional_statistics((name,), tables)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (measure("peak_position@1"), "no peak_position@1 with bins"),
        (
            measure("peak_position@1", bins=0),
            "bins = 0 of peak_position@1; take a whole number from 1 to",
        ),
        (measure("peak_position@1", bins=1.5), r"bins = 1.5 of"),
        (measure("domains@1", budget="many"), "budget = 'many' of domains@1"),
        (measure("domains@2", budget=2), "names the statistic 'domains@2', this Millrace has"),
    ],
)
def test_a_record_with_other_parameters_or_versions_is_refused(wrong, said):
    with pytest.raises(RunError, match=said):
        make_plan(with_more(wrong))


def test_optional_statistics_leave_all_other_addresses_as_they_are():
    plan, more = make_plan(BASE), make_plan(with_more(*optional_statistics(OPTIONAL)))
    for place in plan.layout.places:
        assert more.layout.place(place.name).width.tolist() == place.width.tolist()
    without = factories.run_record(statistics=BASE.statistics[:2])
    assert {form for form in plan.forms if form not in make_plan(without).forms} == {
        "coactivation",
        "member_coactivation",
    }
