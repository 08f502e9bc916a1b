"""The oracle on a case small enough to be worked out by hand.

Three components of one source, threshold 0: clusters 0, 1, 2 are components 0, 1, 2 alone, cluster
3 is {component 0, component 1} of the clustering "pair". Token 9 is masked. Sums are in halves
(sum_bits=1); bins begin at 1 and 2, with one below. k = 2; maximum and last.

Values by token id, (component 0, 1, 2):
    id 1: (1.0, 0,   0)      id 3: (0.25, 3.0, 0)
    id 2: (0,   2.0, 0)      id 4: (1.0,  1.0, 0)      id 9: (9.0, 9.0, 9.0), but masked

Batch 0, partition 0:   row 0: 1 2 3        row 1: 1 9 (pad)      row 2: 9 9 9, no sample
Batch 1, partition 1:   row 0: 1 2 3 again  row 1: 4 1 2

Valid tokens: 3 + 1 + 0 and 3 + 3, 10 in 4 rows. Activity of the pair is the larger member's.

                    batch 0 row 0     row 1     batch 1 row 0     row 1
    component 0     1.0  0    0.25    1.0       1.0  0    0.25    1.0  1.0  0
    component 1     0    2.0  3.0     0         0    2.0  3.0     1.0  0    2.0
    pair            1.0  2.0  3.0     1.0       1.0  2.0  3.0     1.0  1.0  2.0

Component 0 fires at 7 tokens (2 + 1 + 2 + 2) of 4 rows. Per token in halves: 1.0 is 2, 0.25 is half
a half and rounds to the even 0. So 5 x 2 + 2 x 0 = 10; bins: below 1: two, 1 to 2: five, above: 0.
Component 1 fires at 6 tokens of 3 rows: 2, 3, 2, 3, 1, 2 is 4 + 6 + 4 + 6 + 2 + 4 = 26 halves;
bins: 0, 1, 5. The pair fires at 10 tokens of 4 rows: in halves 2+4+6, 2, 2+4+6, 2+2+4 = 34; bins:
0, 5, 5.
Component 2 never fires: it is dead. Both members fire together at id 3 twice and id 4 once: 3.

Best by maximum. Component 0: every row scores 1.0, so samples go by key; the repeated sample counts
once, at its best place: the first batch's. The pair: 3.0 for the repeated one at position 2, then
2.0 for the row 4 1 2 at its position 2, and the row of one token falls out of k = 2.
By last: the last valid token of row 1 in batch 0 is position 0. Component 0: 1.0 there, 0.25 at the
repeated one, and nothing at 4 1 2, whose last token it does not fire at.
"""

import numpy as np
import pytest

from consumers.activations.engine import Activations
from consumers.oracle.oracle import Oracle
from streams.errors import NotFiniteError
from tests import factories

VALUES = {1: (1.0, 0, 0), 2: (0, 2.0, 0), 3: (0.25, 3.0, 0), 4: (1.0, 1.0, 0), 9: (9.0, 9.0, 9.0)}
FIRST = factories.batch([[1, 2, 3], [1, 9, 0], [9, 9, 9]], [3, 2, 3], partition=0)
SECOND = factories.batch([[1, 2, 3], [4, 1, 2]], [3, 3], partition=1)


class ByHand:
    """Values by token id, at valid tokens."""

    def compute(self, batch, valid):
        if (batch.ids == 40).any():
            raise NotFiniteError("here")
        found = [
            (component, row, position, VALUES[int(batch.ids[row, position])][component])
            for component in range(3)
            for row, position in np.argwhere(valid).tolist()
            if VALUES[int(batch.ids[row, position])][component]
        ]
        component, row, position, value = zip(*found, strict=True)
        return Activations(
            np.array(component), np.array(row, np.int32), np.array(position, np.int32),
            np.array(value, np.float32),
        )  # fmt: skip


def oracle_of(*batches):
    plan = factories.plan(
        sources=(factories.source(components=3, coactivation=True),),
        clusterings=(factories.clustering({"both": [(0, 0), (0, 1)]}, "pair"),),
        masked_ids=np.array([9]),
        sum_bits=1,
        edges=np.array([1.0, 2.0], np.float32),
        k=2,
    )
    oracle = Oracle(plan, ByHand())
    for batch in batches:
        oracle.add(batch)
    return oracle


@pytest.fixture(scope="module")
def tables():
    return oracle_of(FIRST, SECOND).tables([b"zero", b"one"])


def columns(table, *names):
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


def test_totals(tables):
    assert columns(tables["totals"], "tokens", "rows", "batches", "refused") == [(10, 4, 2, 0)]


def test_clusters(tables):
    names = "firing_tokens", "firing_rows", "activation_sum", "min_activation", "max_activation"
    assert columns(tables["clusters"], *names, "activation_histogram") == [
        (7, 4, 10, 0.25, 1.0, [2, 5, 0]),
        (6, 3, 26, 1.0, 3.0, [0, 1, 5]),
        (0, 0, 0, 0.0, 0.0, [0, 0, 0]),
        (10, 4, 34, 1.0, 3.0, [0, 5, 5]),
    ]
    assert columns(tables["clusters"], "clustering", "label", "members")[2:] == [
        ("features/sae", "2", ["sae:2"]),
        ("pair", "both", ["sae:0", "sae:1"]),
    ]


def test_density_is_the_share_of_valid_tokens_and_the_mean_is_where_a_cluster_is_active(tables):
    assert columns(tables["clusters"], "activation_density", "mean_activation") == [
        (0.7, 5 / 7),
        (0.6, 13 / 6),
        (0.0, 0.0),
        (1.0, 1.7),
    ]
    assert columns(tables["features"], "activation_density") == [(0.7,), (0.6,), (0.0,)]


def test_features(tables):
    assert columns(tables["features"], "index", "firing_tokens", "dead", "dropped") == [
        (0, 7, False, False),
        (1, 6, False, False),
        (2, 0, True, False),
    ]


def test_coactivation(tables):
    # Clusters 0 and 1 are the two members alone; cluster 3 is of another clustering.
    assert columns(tables["coactivation"], "cluster_a", "cluster_b", "tokens") == [(0, 1, 3)]
    assert columns(tables["member_coactivation"], "cluster", "member_a", "member_b", "tokens") == [
        (3, 0, 0, 7),
        (3, 0, 1, 3),
        (3, 1, 1, 6),
    ]


REPEATED, SHORT, OTHER = (
    FIRST.keys[0].tobytes(), FIRST.keys[1].tobytes(), SECOND.keys[1].tobytes(),
)  # fmt: skip
PLACES = {REPEATED: (0, 0, 0), SHORT: (0, 0, 1), OTHER: (1, 0, 1)}


def hits(tables, cluster, ranking):
    names = "rank", "score", "sample", "peak", "partition", "sequence", "row"
    table = tables["hits"].to_pylist()
    rows = [r for r in table if (r["cluster"], r["ranking"]) == (cluster, ranking)]
    return [tuple(row[name] for name in names) for row in rows]


def test_ties_go_by_sample_key_and_a_repeated_sample_counts_once(tables):
    assert SECOND.keys[0].tobytes() == REPEATED
    samples = sorted([REPEATED, SHORT, OTHER])[:2]
    assert hits(tables, 0, "maximum") == [
        (rank, 1.0, sample, 0, *PLACES[sample]) for rank, sample in enumerate(samples)
    ]


def test_the_best_of_a_pair_by_its_maximum(tables):
    assert hits(tables, 3, "maximum") == [
        (0, 3.0, REPEATED, 2, 0, 0, 0),
        (1, 2.0, OTHER, 2, 1, 0, 1),
    ]


def test_the_best_at_the_last_valid_token(tables):
    assert hits(tables, 0, "last") == [
        (0, 1.0, SHORT, 0, 0, 0, 1),
        (1, 0.25, REPEATED, 2, 0, 0, 0),
    ]
    assert hits(tables, 3, "last") == [
        (0, 3.0, REPEATED, 2, 0, 0, 0),
        (1, 2.0, OTHER, 2, 1, 0, 1),
    ]


def test_what_never_fires_has_no_hit(tables):
    assert hits(tables, 2, "maximum") == hits(tables, 2, "last") == []


def test_rows_show_the_cluster_and_each_member(tables):
    best = next(r for r in tables["hits"].to_pylist() if r["cluster"] == 3)
    assert best["positions"] == [0, 1, 2]
    assert best["activations"] == [1.0, 2.0, 3.0]
    assert (best["member_indices"], best["member_positions"]) == ([0, 0, 1, 1], [0, 2, 1, 2])
    assert best["member_activations"] == [1.0, 0.25, 2.0, 3.0]


def test_samples_are_the_places_that_hits_name(tables):
    found = columns(tables["samples"], "partition", "sequence", "row", "sample", "ids")
    assert found == [
        (0, 0, 0, REPEATED, [1, 2, 3]),
        (0, 0, 1, SHORT, [1, 9]),
        (1, 0, 1, OTHER, [4, 1, 2]),
    ]


def test_the_vocabulary_is_part_of_it(tables):
    assert columns(tables["vocabulary"], "id", "token") == [(0, b"zero"), (1, b"one")]


def test_the_order_of_partitions_does_not_matter(tables):
    other = oracle_of(SECOND, FIRST).tables([b"zero", b"one"])
    assert {n: t.to_pylist() for n, t in other.items()} == {
        n: t.to_pylist() for n, t in tables.items()
    }


def test_a_batch_that_cannot_be_computed_is_refused_whole(tables):
    oracle = oracle_of(FIRST, SECOND, factories.batch([[1, 40]], [2], 1, 1))
    oracle.refuse()
    found = oracle.tables([b"zero", b"one"])
    assert columns(found["totals"], "tokens", "rows", "batches", "refused") == [(10, 4, 4, 2)]
    assert found["clusters"].to_pylist() == tables["clusters"].to_pylist()
