import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from downstream.derived.largest import largest, row_blocks, smallest

few_values = st.sampled_from([-np.inf, -1.5, 0.0, -0.0, 0.25, 3.0])
matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 300)), elements=few_values
)


@given(matrices, st.data())
def test_the_largest_are_those_of_a_plain_sort_with_ties_by_column(values, data):
    k = data.draw(st.integers(1, values.shape[1]))
    plain = [sorted(range(len(row)), key=lambda at, row=row: (-row[at], at))[:k] for row in values]  # type: ignore[misc]
    assert largest(values, k).tolist() == plain
    assert smallest(-values, k).tolist() == plain


@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 40))
def test_blocks_cover_every_row_once(rows, columns, most):
    blocks = row_blocks(rows, columns, most)
    assert [row for block in blocks for row in range(rows)[block]] == list(range(rows))
    assert all(block.stop - block.start <= max(1, most // columns) for block in blocks)
