"""Tokens: what each cluster is active at, how concentrated that is, and the index by token."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.derived.concentration import (
    Concentration,
    bounded_concentration,
    exact_concentration,
)
from downstream.derived.derivation import Derived, Given, Options
from downstream.reading.token_associations import TokenAssociations, read_token_associations
from streams.arrays import AnyArray
from streams.snapshots.tables import Column, TableForm

_SAMPLE = "in the rows that the run's statistic `tokens` looks at"
_ABOVE = "in 98% of cases the count is at most `error` too high"
_BOUNDS = "half of what the sketch leaves open, 0 where counts are exact: the true value is so near"
_MEASURES = (
    Column("firing_tokens", pa.int64(), f"both, {_SAMPLE}", "tokens", "with error", _ABOVE),
    Column("mean_activation", pa.float64(), "mean activation there", "activation", "with error",
           "each token's is rounded first; where `error` is not 0, that of a sketch"),
    Column("max_activation", pa.float32(), "largest activation there", "activation", "with error",
           "exact where `error` is 0, else never too low"),
    Column("active_given_token", pa.float64(), "P(active given token)", "1", "with error", _ABOVE),
    Column("token_given_active", pa.float64(), "P(token given active)", "1", "with error", _ABOVE),
    Column("pmi", pa.float64(), "log2 of P(both) / (P(active) P(token))", "bits", "with error",
           _ABOVE),
    Column("error", pa.int64(), "0 where the counts of the cluster are exact", "tokens"),
)  # fmt: skip

CLUSTER_TOKENS = TableForm(
    "cluster_tokens",
    "The k tokens at which a cluster is active most often.",
    ("cluster", "rank"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("rank", pa.int32(), "0 is the most frequent"),
        Column("token", pa.int32(), "token id"),
        *_MEASURES,
    ),
)

TOKEN_FEATURES = TableForm(
    "token_features",
    "Clusters that a token activates: the rows of `token_firings` by token, with what follows.",
    ("token", "cluster"),
    (
        Column("token", pa.int32(), "token id"),
        Column("cluster", pa.int32(), "cluster; a single feature is a cluster of one"),
        *_MEASURES,
    ),
)

TOKEN_CONCENTRATION = TableForm(
    "token_concentration",
    "How many different tokens a cluster is active at: one, or any.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column(
            "firing_tokens", pa.int64(), f"where it is active, {_SAMPLE}", "tokens", "sampled"
        ),
        Column("entropy", pa.float64(), "entropy of the token given that it is active", "bits",
               "with error", "`entropy_error`"),
        Column("entropy_error", pa.float64(), _BOUNDS, "bits"),
        Column("concentration", pa.float64(), "sum of the squares of P(token given active)", "1",
               "with error", "`concentration_error`"),
        Column("concentration_error", pa.float64(), _BOUNDS, "1"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tokens:
    """The statistic ``tokens`` of the run, both ways, with probabilities, PMI and entropy."""

    kind: str = "tokens"
    summary: str = "tokens of each feature and features of each token, with PMI and entropy"
    forms: tuple[TableForm, ...] = (CLUSTER_TOKENS, TOKEN_CONCENTRATION, TOKEN_FEATURES)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the tables; raises SnapshotError if the run did not count tokens."""
        found = read_token_associations(given.snapshot.manifest)
        of_cluster = np.lexsort((found.token, -found.count, found.cluster))
        cluster = found.cluster[of_cluster]
        rank = np.arange(len(cluster)) - np.searchsorted(cluster, cluster)
        shown = rank < options.k
        at = of_cluster[shown]
        tables = {
            CLUSTER_TOKENS: {**_pairs(found, at), "rank": rank[shown]},
            TOKEN_CONCENTRATION: _concentrations(found),
            TOKEN_FEATURES: _pairs(found, np.lexsort((found.cluster, found.token))),
        }
        made = {form: form.table(columns) for form, columns in tables.items()}
        return Derived(made, {"k": options.k, "statistic": _parameters(given)})


def _pairs(found: TokenAssociations, at: AnyArray) -> dict[str, AnyArray]:
    return {"cluster": found.cluster[at], "token": found.token[at], **found.measures(at)}


def _parameters(given: Given) -> Mapping[str, Any]:
    """Return what the run says of its statistic."""
    said = given.snapshot.about.get("statistics", {})
    return next((dict(v) for k, v in said.items() if k.partition("@")[0] == "tokens"), {})


def _concentrations(found: TokenAssociations) -> dict[str, Any]:
    clusters = np.flatnonzero(found.total)
    each = list(_of_clusters(found, clusters))
    names = Concentration.__dataclass_fields__
    return {
        "cluster": clusters,
        "firing_tokens": found.total[clusters],
        **{name: np.array([getattr(one, name) for one in each], np.float64) for name in names},
    }


def _of_clusters(found: TokenAssociations, clusters: AnyArray) -> Iterator[Concentration]:
    occurring = int(np.count_nonzero(found.occurrences))
    for cluster in clusters.tolist():
        first, stop = np.searchsorted(found.cluster, (cluster, cluster + 1))
        counts, total = found.count[first:stop], int(found.total[cluster])
        if first < stop and not found.error[first]:
            yield exact_concentration(counts)
            continue
        least = int(found.bound[first:stop].min(initial=total))  # no other token has more
        yield bounded_concentration(counts, occurring - len(counts), least, total)
