"""Integer extremes, whatever the order and however often; ``place`` beyond what it can number."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.aggregation.keyed_sums import with_keyed
from consumers.selection.selection import select, valid_tokens
from consumers.statistics.contributions import KeySums
from consumers.statistics.extremes import extremes, extremes_added, extremes_held
from consumers.statistics.layout import KeyedPlace
from consumers.statistics.registry import optional_statistics
from streams.errors import OverflowingSumError
from streams.records.tallies import KeyedSums
from tests import factories
from tests.streams.strategies import quick

NUMBERS = st.one_of(st.integers(0, 3), st.integers(2**63 - 3, 2**63 - 1), st.integers(0, 2**63 - 1))
STATE = extremes("rows")
PLACE = KeyedPlace("x.rows", "cluster", STATE.columns, STATE.budget, False, 0, STATE.maxima)


@quick
@given(st.lists(st.dictionaries(st.integers(0, 4), st.tuples(NUMBERS, NUMBERS)), max_size=6))
def test_extremes_are_those_of_all_that_was_added(batches):
    held: tuple[KeyedSums, ...] = ()
    for batch in (*batches, *reversed(batches)):
        cluster = np.array(sorted(batch), np.int64)
        both = np.array([sorted(batch[c]) for c in sorted(batch)], np.int64).reshape(-1, 2)
        added = extremes_added(cluster, both[:, 0], both[:, 1])
        news = KeyedSums(0, cluster.astype(np.uint32), added.key, added.value.reshape(-1))
        news.check(STATE.columns, 5)
        held = with_keyed([PLACE], held, (news,))
    found = {}
    for part in held:
        sums = KeySums(part.cluster.astype(np.int64), part.key, part.value.reshape(-1, 2))
        found = {c: (low, high) for c, low, high in zip(*extremes_held(sums), strict=True)}
    every = {c: [n for batch in batches for n in batch.get(c, ())] for c in range(5)}
    assert found == {c: (min(given), max(given)) for c, given in every.items() if given}


def test_places_that_no_integer_holds_are_an_error():
    statistics = (*factories.run_record().statistics, *optional_statistics(("place",)))
    plan = factories.plan(statistics=statistics)
    engine = factories.DenseEngine(plan)
    batch = factories.batches()[0]
    valid = valid_tokens(plan, batch)
    found = engine.compute(batch, valid)
    last = (2**39 - 1 - batch.partition) // plan.run.partitions
    select(plan, replace(batch, sequence=last), valid, found)
    with pytest.raises(OverflowingSumError, match="beyond what place@1 can number"):
        select(plan, replace(batch, sequence=last + 1), valid, found)
