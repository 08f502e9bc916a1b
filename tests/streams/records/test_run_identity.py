from dataclasses import fields, replace

import numpy as np
import pytest

from consumers.plan import make_plan
from consumers.rankings.registry import rankings
from streams.errors import RunError, ShapeError
from streams.records.measures import Measure, measure
from streams.records.run_identity import differences, identity, run_id
from streams.records.runs import RunRecord
from streams.wire import codec
from tests import factories

RUN = factories.run_record()
# Of this record, as they were before the first field that came later.
IDS = ("6a6e1f996352a6ec517d6d25009eca99", "27789b5f97c9baccbcaa1729a6241d92")
MODEL = RUN.model


def with_source(**changes):
    return {"sources": (replace(RUN.sources[0], **changes),)}


def with_clustering(**changes):
    return {"clusterings": (replace(RUN.clusterings[0], **changes),)}


NUMBERS = [
    {"corpus": "other"}, {"partitions": 3}, {"context": 7}, {"masked_ids": np.array([1])},
    {"masked_positions": np.array([1])}, {"clusterings": ()}, with_source(threshold=1.0),
    with_source(name="other"), with_source(sign="absolute"), with_source(dropped=(1,)),
    with_source(content="1"), with_source(hook="g"), with_source(coactivation=False),
    with_clustering(labels=("a", "c")), with_clustering(iteration=1),
    with_clustering(index=np.array([1, 2, 2, 3, 10], np.int32)),
    {"model": replace(MODEL, content="1")}, {"model": replace(MODEL, dtype="bfloat16")},
    {"model": replace(MODEL, micro_batch=4)}, {"model": replace(MODEL, threads=9)},
    {"model": replace(MODEL, forward="transformers")}, {"model": replace(MODEL, tf32=True)},
    {"rankings": rankings(("maximum",), 3)},
    {"rankings": rankings(("last", "maximum"), 3)}, {"rankings": rankings(k=4)},
    {"statistics": RUN.statistics[:-1]}, {"statistics": (*RUN.statistics, measure("more@1"))},
    {"statistics": (measure("activation@2", sum_bits=20), *RUN.statistics[1:])},
    {"statistics": (measure("activation@1", sum_bits=19), *RUN.statistics[1:])},
]  # fmt: skip
LAYOUT_ONLY = [
    {"name": "other"}, {"shards": 4}, {"bucket_bytes": 1}, {"record_bytes": 1},
    with_clustering(content="1"), {"keep": "activations"},
]  # fmt: skip
NEITHER = [
    {"created": "2026-01-01T00:00:00+00:00"}, {"warnings": ("mind the gap",)},
    {"store": "elsewhere"}, {"model": replace(MODEL, location="elsewhere")},
    {"model": replace(MODEL, reason="it agrees")},
    with_source(location="elsewhere"),
]  # fmt: skip


@pytest.mark.parametrize("changes", NUMBERS, ids=str)
def test_what_decides_numbers_is_in_both_hashes(changes):
    other = replace(RUN, **changes)
    assert identity(other) != identity(RUN)
    assert run_id(other) != run_id(RUN)


@pytest.mark.parametrize("changes", LAYOUT_ONLY, ids=str)
def test_how_the_state_is_cut_up_is_in_the_run_id_alone(changes):
    other = replace(RUN, **changes)
    assert identity(other) == identity(RUN)
    assert run_id(other) != run_id(RUN)


@pytest.mark.parametrize("changes", NEITHER, ids=str)
def test_where_things_lie_and_when_they_were_made_are_in_neither(changes):
    other = replace(RUN, **changes)
    assert (identity(other), run_id(other)) == (identity(RUN), run_id(RUN))


def test_every_field_of_a_record_is_tried():
    tried = {name for changes in (*NUMBERS, *LAYOUT_ONLY, *NEITHER) for name in changes}
    assert tried == {field.name for field in fields(RunRecord)}


def test_hashes_do_not_depend_on_how_numbers_are_held_nor_on_the_wire():
    wide = replace(
        RUN,
        masked_ids=RUN.masked_ids.astype(np.int32),
        sources=(replace(RUN.sources[0], threshold=0),),
    )
    read = codec.decode(RunRecord, codec.encode(RUN))
    for other in (wide, read):
        assert (run_id(other), identity(other)) == (run_id(RUN), identity(RUN))
    assert len(run_id(RUN)) == len(identity(RUN)) == 32
    assert run_id(RUN) != identity(RUN)


def test_a_record_from_before_a_field_keeps_its_hashes():
    assert (identity(RUN), run_id(RUN)) == IDS


def test_settings_that_differ_are_named():
    other = replace(RUN, **with_source(hook="g"), store="elsewhere", created="now", shards=9)
    assert differences(RUN, other) == ["sources", "shards", "store"]
    assert differences(RUN, replace(RUN, created="now")) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"statistics": (*RUN.statistics, Measure("more@3"))}, "the statistic 'more@3', this"),
        ({"statistics": (Measure("activation@2"),)}, "'activation@2', this Millrace has activ"),
        (
            {"rankings": (measure("random@9", k=3),)},
            "the ranking 'random@9', this Millrace has",
        ),
        (
            {"rankings": (*rankings(k=3), measure("maximum@1", k=4))},
            "a ranking more than once",
        ),
        ({"rankings": (Measure("last@1", "{"),)}, "no rankings with parameters they may have"),
        ({"statistics": ()}, "names no activation_histogram@1 with edges"),
    ],
)
def test_a_run_that_this_program_cannot_count_is_refused_by_name(changes, line):
    with pytest.raises(RunError, match=line):
        make_plan(replace(RUN, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"rankings": ()}, {"rankings": (measure("maximum@1"),)}, {"rankings": rankings(k=0)},
        {"rankings": rankings(k=2**17 + 1)}, {"rankings": (Measure("last@1", "[3]"),)},
        {"rankings": (measure("last@1", k=1.5),)}, {"statistics": (Measure("x@1", "{"),)},
        {"statistics": (measure("activation@1", sum_bits=41),)},
        {"statistics": (measure("activation_histogram@1", edges=[1.0, 1.0]),)},
        {"statistics": (measure("activation_histogram@1", edges=[1.0, 1e39]),)},
        {"statistics": (measure("activation_histogram@1", edges="[]"),)},
        {"statistics": (Measure("activation_histogram@1", '{"edges":[NaN]}'),)},
        {"statistics": (measure("activation_histogram@1", edges=[*range(4097)]),)},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_with_parameters_that_none_may_have_is_refused(changes):
    with pytest.raises(ShapeError, match=r"no (statistics|rankings) with parameters they may have"):
        codec.decode(RunRecord, codec.encode(replace(RUN, **changes)))
