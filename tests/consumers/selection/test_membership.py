"""Clusters from components against the dense maximum, over more tokens than a machine word has."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.activations.engine import Activations
from consumers.selection.membership import cluster_tokens, runs_of
from tests import factories
from tests.streams.strategies import quick

COMPONENTS, POSITIONS = 6, 50
MEMBERS = [[0], [], [0, 1, 2], [5, 3], [3], [0, 1, 2, 3, 4, 5]]


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 0.3, 1.0]), st.integers(1, 7))
def test_maxima_over_members_are_those_of_dense_arrays(seed, density, rows):
    random = np.random.default_rng(seed)
    plan = factories.plan(
        sources=(factories.source(components=COMPONENTS, threshold=0.25),), clusterings=()
    )
    shape = (COMPONENTS, rows, POSITIONS)
    dense = random.integers(-4, 5, shape).astype(np.float32) * (random.random(shape) < density) / 4
    where = np.nonzero(dense)
    found = Activations(
        where[0], where[1].astype(np.int32), where[2].astype(np.int32), dense[where]
    )
    runs = runs_of(plan, found, POSITIONS)
    first = np.cumsum([0, *map(len, MEMBERS)])
    tokens = cluster_tokens(first, np.concatenate(MEMBERS).astype(np.int64), runs, rows * POSITIONS)
    flat = dense.reshape(COMPONENTS, -1)
    assert runs.fired.tolist() == (flat > 0.25).sum(axis=1).tolist()
    for cluster, members in enumerate(MEMBERS):
        strongest = flat[members].max(axis=0, initial=-np.inf)
        fires = np.flatnonzero(strongest > 0.25)
        part = slice(*tokens.first[cluster : cluster + 2])
        assert tokens.token[part].tolist() == fires.tolist()
        assert tokens.activity[part].tolist() == strongest[fires].tolist()
