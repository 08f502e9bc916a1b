"""Co-activation of wide dictionaries: the clusters each is active with most, in shared rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from downstream.derived.derivation import Derived, Given, Options, clustering_spans
from downstream.reading.shared_firings import SharedFirings, read_shared_firings
from streams.arrays import F64, AnyArray
from streams.snapshots.tables import Column, TableForm

_IN_ROWS = "in the shared rows in which both are known"

SAMPLED_COACTIVATION = TableForm(
    "sampled_coactivation",
    "The clusters that a cluster is active with most, in rows chosen by their sample key.",
    ("cluster", "other_clustering", "rank"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("other_clustering", pa.string(), "the others' clustering, its own or that of another"
               " source's single features"),
        Column("rank", pa.int32(), "0 has the largest Jaccard index"),
        Column("other", pa.int32(), "the other cluster"),
        Column("tokens", pa.int64(), f"both are active, {_IN_ROWS}", "tokens", "sampled"),
        Column("cluster_tokens", pa.int64(), f"the cluster is, {_IN_ROWS}", "tokens", "sampled"),
        Column("other_tokens", pa.int64(), f"the other is, {_IN_ROWS}", "tokens", "sampled"),
        Column("rows", pa.int64(), f"rows with one of the two, {_IN_ROWS}", "rows", "sampled"),
        Column("jaccard", pa.float64(), "tokens of both / tokens of one", "1", "with error",
               "`jaccard_error`"),
        Column("jaccard_error", pa.float64(), "standard error over rows, 0 where `exact`", "1"),
        Column("other_given_cluster", pa.float64(), "P(other active given cluster active)", "1",
               "with error", "`other_given_cluster_error`"),
        Column("other_given_cluster_error", pa.float64(),
               "standard error over rows, 0 where `exact`", "1"),
        Column("lift", pa.float64(), "`other_given_cluster` / activation density of the other, of "
               "the whole run", "1", "with error", "that of `other_given_cluster`"),
        Column("pmi", pa.float64(), "log2 of `lift`", "bits", "with error", "that of `lift`"),
        Column("exact", pa.bool_(), "the tables of both have every row in which they are active"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SampledCoactivation:
    """Within each clustering, and between the single features of all sources."""

    kind: str = "coactivation"
    summary: str = "clusters that are active together, in the rows of the ranking `shared`"
    forms: tuple[TableForm, ...] = (SAMPLED_COACTIVATION,)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the pairs; raises SnapshotError unless the run has the ranking ``shared``."""
        snapshot = given.snapshot
        firings = read_shared_firings(snapshot.manifest)
        density = snapshot.clusters["activation_density"].to_numpy()
        spans = list(clustering_spans(given))
        parts = [
            table
            for name, own in spans
            for other_name, other in spans
            if own == other or (_single(name) and _single(other_name) and name != other_name)
            for table in _tables(firings, density, own, (other_name, other), options.k)
        ]
        found = pa.concat_tables([SAMPLED_COACTIVATION.schema.empty_table(), *parts])
        sorting = [(name, "ascending") for name in SAMPLED_COACTIVATION.key]
        said = {"k": options.k, "ranking_k": firings.rows.k, "rows": len(firings.rows.places)}
        return Derived({SAMPLED_COACTIVATION: found.sort_by(sorting)}, said)


def _single(clustering: str) -> bool:
    return clustering.startswith("features/")


def _tables(
    firings: SharedFirings, density: F64, own: slice, other: tuple[str, slice], k: int
) -> Iterator[pa.Table]:
    name, others = other
    for pairs in firings.best_pairs(own, others, k):
        errors = firings.errors(pairs)
        given = pairs.both / np.maximum(pairs.of_a, 1)
        lift = given / density[pairs.b]
        columns: dict[str, AnyArray | list[str]] = {
            "cluster": pairs.a,
            "other_clustering": [name] * len(pairs.a),
            "rank": np.arange(len(pairs.a)) - np.searchsorted(pairs.a, pairs.a),
            "other": pairs.b,
            "tokens": pairs.both,
            "cluster_tokens": pairs.of_a,
            "other_tokens": pairs.of_b,
            "rows": errors.rows,
            "jaccard": pairs.jaccard,
            "jaccard_error": errors.jaccard,
            "other_given_cluster": given,
            "other_given_cluster_error": errors.given_a,
            "lift": lift,
            "pmi": np.log2(lift),
            "exact": errors.exact,
        }
        yield SAMPLED_COACTIVATION.table(columns)
