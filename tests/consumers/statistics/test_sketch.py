import numpy as np

from consumers.statistics.sketch import CERTAINTY, DEPTH, cells_of, error_of, estimates, first_cell


def test_estimates_are_never_too_low_and_seldom_beyond_the_error():
    """Counts as tokens have them: the k-th most frequent one 1 / k as often as the first."""
    keys, width = np.arange(20_000, dtype=np.uint64), 512
    counts = (100_000 / (1 + np.random.default_rng(0).permutation(len(keys)))).astype(np.int64)
    of_keys = cells_of(keys, width)
    cells = np.zeros(DEPTH * width, np.int64)
    for row in range(DEPTH):
        np.add.at(cells, of_keys[:, row], counts)
    said = estimates(np.arange(len(cells)), cells[:, None], 0, of_keys)
    assert (said >= counts).all()
    error = error_of(int(counts.sum()), width)
    assert (said - counts <= error).mean() >= CERTAINTY
    assert error < counts.max() / 10
    best = np.argsort(-counts)[:10]
    assert set(best) <= set(np.argsort(-said)[:20])


def test_rows_of_cells_do_not_overlap_and_end_below_the_key_of_the_others():
    cells = cells_of(np.arange(1000, dtype=np.uint64), 7)
    assert (cells // 7 == np.arange(DEPTH)).all()
    assert first_cell(7) + int(cells.max()) < 2**64 - 1
