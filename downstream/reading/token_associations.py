"""Tokens and the clusters that are active at them: counts, shares and PMI, from the statistic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.reading.table import Table
from streams.arrays import F32, F64, I64, AnyArray
from streams.errors import SnapshotError
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import CLUSTERS

_TABLES = ("token_firings", "token_maxima", "token_totals", "sampled_tokens")


@dataclass(frozen=True, eq=False)
class TokenAssociations:
    """Pairs of a cluster and a token at which it is active, by cluster and token; one entry each.

    cluster, token: which. bound: tokens of this id at which the cluster is active, in the rows that
    the run looked at, as the table has it; ``error`` is how much too high that is at most (0:
    exact). count: the same, but no more than there are. mean, maximum: of the activation there.
    total [cluster]: tokens at which it is active. occurrences [token id]: how often the id occurs.
    """

    cluster: I64
    token: I64
    bound: I64
    count: I64
    error: I64
    mean: F64
    maximum: F32
    total: I64
    occurrences: I64

    def measures(self, at: AnyArray) -> dict[str, AnyArray]:
        """Return the columns of some pairs: counts, P(active | token), P(token | active), PMI.

        PMI is log2 of P(both) / (P(active) P(token)), in bits. All are of the rows looked at.
        """
        count, total = self.count[at], self.total[self.cluster[at]]
        occurs, tokens = self.occurrences[self.token[at]], int(self.occurrences.sum())
        return {
            "firing_tokens": count,
            "mean_activation": self.mean[at],
            "max_activation": self.maximum[at],
            "active_given_token": count / occurs,
            "token_given_active": count / total,
            "pmi": np.log2(count / total * (tokens / occurs)),
            "error": self.error[at],
        }

    def of_cluster(self, cluster: int) -> AnyArray:
        """Return the pairs of a cluster, those of most tokens first."""
        first, stop = np.searchsorted(self.cluster, (cluster, cluster + 1))
        at = np.arange(first, stop)
        return at[np.lexsort((self.token[at], -self.count[at]))]

    def of_token(self, token: int) -> AnyArray:
        """Return the pairs of a token, those with the largest P(active | token) first."""
        at = np.flatnonzero(self.token == token)
        return at[np.lexsort((self.cluster[at], -self.maximum[at], -self.count[at]))]


def read_token_associations(manifest: RunManifest, filters: Any = None) -> TokenAssociations:
    """Return the pairs of a snapshot, or those that filters of ``token_firings`` leave.

    Raises SnapshotError if the run does not have the statistic ``tokens``.
    """
    if any(find_entry(manifest.tables, name) is None for name in _TABLES):
        raise SnapshotError(
            f"tokens at which clusters are active need the statistic 'tokens' (tokens@2); "
            f"run {manifest.run!r} does not have it"
        )
    pairs: Mapping[str, Any] = _columns(manifest, "token_firings", filters)
    maxima = _columns(manifest, "token_maxima", filters)
    totals, of_ids = _columns(manifest, "token_totals"), _columns(manifest, "sampled_tokens")
    clusters = find_entry(manifest.tables, CLUSTERS.name)
    total = np.zeros(clusters.rows if clusters else 0, np.int64)
    occurrences = np.zeros(int(manifest.about["vocabulary"]), np.int64)
    cluster, token = pairs["cluster"].astype(np.int64), pairs["token"].astype(np.int64)
    for numbers, size in (
        (totals["cluster"], len(total)),
        (cluster, len(total)),
        (of_ids["token"], len(occurrences)),
        (token, len(occurrences)),
    ):
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < size:
            raise SnapshotError(f"snapshot {manifest.snapshot!r} counts tokens that it lacks")
    total[totals["cluster"]] = totals["firing_tokens"]
    occurrences[of_ids["token"]] = of_ids["tokens"]
    bound = pairs["firing_tokens"]
    count = np.minimum(bound, np.minimum(occurrences[token], total[cluster]))
    # A sketch may list tokens that are in none of these rows: it counts others in their place.
    keep = (occurrences[token] > 0) | (pairs["error"] == 0)
    if len(maxima["cluster"]) != len(cluster) or (count[keep] < 1).any():
        raise SnapshotError(f"snapshot {manifest.snapshot!r}: its tables of tokens disagree")
    mean = pairs["activation_sum"] * 2.0 ** -int(manifest.about["sum_bits"]) / bound
    return TokenAssociations(
        cluster[keep],
        token[keep],
        bound[keep],
        count[keep],
        pairs["error"][keep],
        mean[keep],
        maxima["max_activation"][keep],
        total,
        occurrences,
    )


def features_of_token(manifest: RunManifest, clusters: Table, token: int, k: int) -> Table:
    """Return the ``k`` of ``clusters`` most likely active at a token, by its id."""
    found = read_token_associations(manifest, [("token", "==", token)])
    at = found.of_token(token)[:k]
    cluster = found.cluster[at]
    named = {name: clusters[name].take(cluster) for name in ("clustering", "label")}
    return Table("token_features", pa.table({"cluster": cluster, **named, **found.measures(at)}))


def _columns(manifest: RunManifest, name: str, filters: Any = None) -> dict[str, Any]:
    table = read_table(manifest, name, filters=filters)
    return {column: table[column].to_numpy() for column in table.column_names}
