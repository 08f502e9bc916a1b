import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.batches import Layout, batches
from producers.rows import Rows
from streams.errors import SettingsError
from streams.records.corpus import sample_keys


def chunks(rows: int, cuts: list[int]) -> Iterator[Rows]:
    """Yield ``rows`` rows [i, i] in chunks that end at the cuts."""
    edges = sorted({0, rows, *(cut for cut in cuts if cut < rows)})
    for start, stop in itertools.pairwise(edges):
        numbers = np.arange(start, stop, dtype=np.uint32)
        names = tuple(f"d{number}" for number in numbers)
        yield Rows(
            np.stack([numbers, numbers], axis=1),
            np.ones((stop - start, 2), bool),
            names,
            names,
            np.ones(stop - start, np.int64),
        )


layouts = st.builds(Layout, st.just("c"), st.integers(1, 4), st.integers(1, 7), st.just("t"))


@given(layouts, st.integers(0, 60), st.lists(st.integers(0, 60)))
def test_row_i_is_in_batch_i_over_rows_however_the_rows_arrive(layout, rows, cuts):
    found = list(batches(layout, chunks(rows, cuts)))
    placed = {
        (batch.partition, batch.sequence, row): int(batch.ids[row, 0])
        for batch in found
        for row in range(len(batch.ids))
    }
    expected = {}
    for i in range(rows):
        number = i // layout.rows
        place = (number % layout.partitions, number // layout.partitions, i % layout.rows)
        expected[place] = i
    assert placed == expected
    for batch in found:
        batch.check(1000)
        assert batch.documents == batch.domains == tuple(f"d{i}" for i in batch.ids[:, 0])


@given(st.integers(1, 5), st.integers(1, 70), st.randoms(use_true_random=False))
def test_keys_of_many_rows_are_the_keys_of_each(rows, positions, random):
    numbers = np.random.default_rng(random.randrange(2**32))
    ids = numbers.integers(0, 2**32, (rows, positions), dtype=np.uint32)
    mask = numbers.random((rows, positions)) < 0.5
    lengths = np.array([random.randrange(positions + 1) for _ in range(rows)])
    keys, longer = (sample_keys("tokenizer", ids, mask, some) for some in (None, lengths))
    for row in range(rows):
        assert keys[row].tobytes() == slow_key(ids[row], mask[row], mask[row])
        within = np.arange(positions) < lengths[row]
        assert longer[row].tobytes() == slow_key(ids[row], mask[row], within)


def slow_key(ids, mask, present):
    """The key of one row as the docs have it; present: the tokens that are part of it."""
    parts = [b"tokenizer\0", np.where(present, ids, 0).astype("<u4").tobytes(), np.packbits(mask)]
    if (present != mask).any():
        parts.append(np.packbits(present))
    return hashlib.blake2b(b"".join(map(bytes, parts)), digest_size=16).digest()


def test_a_layout_without_partitions_is_refused():
    with pytest.raises(SettingsError, match="1 or more"):
        Layout("c", 0, 1, "t")
