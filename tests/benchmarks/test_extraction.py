"""The five best positions of hits against a plain sort."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.extraction import five_best
from streams.records.hits import no_hits


@pytest.mark.parametrize("seed", range(5))
def test_the_five_best_are_those_of_a_sort(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(0, 12, 40).astype(np.int32)
    value = random.integers(-2, 6, rows.sum()).astype(np.float32)  # ties, and what does not fire
    position = np.concatenate([np.arange(n) for n in rows]).astype(np.int32)
    found = replace(
        no_hits(), table=np.zeros(40, np.uint32), rows=rows, value=value, position=position
    )
    expected, counts, first = [], [], 0
    for length in rows.tolist():
        here = [i for i in range(first, first + length) if value[i] > 0]
        best = sorted(here, key=lambda i: (-value[i], position[i]))[:5]
        expected += best
        counts.append(len(best))
        first += length
    entry, count = five_best(found)
    assert (entry.tolist(), count.tolist()) == (expected, counts)
