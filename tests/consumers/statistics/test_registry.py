import pytest

from consumers.plan import make_plan
from consumers.statistics.registry import OPTIONAL, STATISTICS, optional_statistics
from streams.errors import RunError
from streams.records.measures import measure, statistics
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


@pytest.mark.parametrize("names", [("peaks",), ("activation",), ("domains", "domains")])
def test_others_are_refused_with_what_there_is(names):
    with pytest.raises(RunError, match=rf"statistics {names[0]}.*: take each of {OPTIONAL[0]}"):
        optional_statistics(names)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (measure("peak_position@1"), "no peak_position@1 with bins"),
        (measure("peak_position@1", bins=0), "bins = 0 of peak_position@1; take 1 to"),
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
