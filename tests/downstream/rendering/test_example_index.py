"""Tables read by row group, and the index over all examples, against plain reading."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.rendering.contexts import best_contexts, top_contexts
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.row_groups import read_row_groups
from downstream.rendering.stored_text import PlaceIndex
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table

places = st.tuples(st.integers(0, 3), st.integers(0, 2**40), st.integers(0, 63))


def test_rows_of_clusters_are_those_of_the_table(manifest: RunManifest) -> None:
    groups = read_row_groups(manifest, "hits")
    for wanted in ([0], [1, 5], [3], [99]):
        plain = read_table(manifest, "hits", filters=[("cluster", "in", wanted)])
        assert groups.rows(wanted, plain.column_names).to_pylist() == plain.to_pylist()


@given(st.sets(places, max_size=12), st.lists(places, max_size=12))
def test_samples_are_found_by_their_place(stored: set[tuple[int, ...]], asked: list[object]):
    ours = list(stored)
    index = PlaceIndex(np.array(ours, np.int64).reshape(-1, 3))
    wanted = [*ours, *asked, (-1, 0, 0), (2**40, 2**50, 2**50)]
    found = index.find(np.array(wanted, np.int64))
    assert found.tolist() == [ours.index(p) if p in stored else -1 for p in wanted]


@pytest.mark.parametrize("place", [(-1, 0, 0), (2**31, 2**40, 2**31)])
def test_places_that_no_corpus_has_are_refused(place: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="places"):
        PlaceIndex(np.array([place], np.int64))


def test_the_best_example_of_a_list_is_the_first_of_the_page(snapshot: LoadedSnapshot) -> None:
    clusters = range(len(snapshot.labels))
    best = best_contexts(snapshot, list(clusters))
    for cluster in clusters:
        first = top_contexts(snapshot, cluster, "maximum", 1)
        assert (cluster in best) == bool(first)
        for whole in first:
            short = best[cluster]
            assert short.excerpt == short.tokens == whole.excerpt
            assert (short.place, short.document, short.length) == (
                whole.place, whole.document, whole.length
            )  # fmt: skip


def test_peaks_are_counted_by_token(snapshot: LoadedSnapshot) -> None:
    for cluster in range(len(snapshot.labels)):
        contexts = top_contexts(snapshot, cluster, "maximum", 99)
        peaks = [context.tokens[context.peak].id for context in contexts]
        assert np.diff(snapshot.examples.first)[cluster] == len(peaks)
        for token, count in snapshot.examples.peak_tokens(cluster):
            assert peaks.count(token) == count
