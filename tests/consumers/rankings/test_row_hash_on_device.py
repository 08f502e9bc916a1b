"""Hashes of (sample, cluster) in int64 against the host's unsigned ones: equal bits."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from consumers.rankings import row_hash, row_hash_on_device
from tests import factories
from tests.streams.same import bits
from tests.streams.strategies import quick

PLAN = factories.plan()
SEEDS = row_hash.cluster_seeds(PLAN)
EXTREMES = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
WORDS = st.tuples(EXTREMES, EXTREMES) | st.tuples(*[st.integers(0, 2**64 - 1)] * 2)


def both(words: list[tuple[int, int]]) -> tuple[Any, Any]:
    """Return the scores of every cluster in every row of these sample keys, of host and device."""
    keys = np.array(words, ">u8").view(np.uint8)
    row, cluster = map(np.ravel, np.indices((len(words), PLAN.clusters)))
    batch, rows = SimpleNamespace(keys=keys), SimpleNamespace
    cluster_, row_ = cluster.astype(np.uint32), row.astype(np.int32)

    class Rows(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.row)

    host: Any = rows(clusters=PLAN, batch=batch, rows=Rows(row=row_, cluster=cluster_))
    device: Any = rows(
        clusters=PLAN,
        batch=batch,
        row=torch.from_numpy(row),
        row_cluster=torch.from_numpy(cluster),
    )
    return row_hash.priorities(host), row_hash_on_device.priorities(device).numpy()


@quick
@given(st.lists(WORDS, min_size=1, max_size=8))
def test_any_sample_has_the_score_that_it_has_on_the_host(words: list[tuple[int, int]]) -> None:
    host, device = both(words)
    assert bits(device) == bits(host)


def test_the_smallest_hash_is_minus_zero_on_both() -> None:
    host, device = both([(0, int(SEEDS[3]))])
    assert host[3] == 0
    assert bits(device) == bits(host)
