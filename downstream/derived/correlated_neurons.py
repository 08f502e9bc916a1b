"""Correlated neurons: those of a layer whose values go with a feature's, in shared rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from downstream.derived.correlation import Correlated, TokenValues
from downstream.derived.derivation import (
    FEATURE_COLUMNS,
    Derived,
    Given,
    Options,
    clustering_spans,
)
from downstream.reading.shared_firings import LEAST, read_shared_firings
from downstream.reading.shared_values import SharedValues, read_shared_values
from streams.arrays import AnyArray
from streams.errors import SnapshotError
from streams.snapshots.tables import Column, TableForm

_IN_ROWS = "in the shared rows in which all features and neurons are known"
_SINGLES = "features/"

CORRELATED_NEURONS = TableForm(
    "correlated_neurons",
    "The neurons that correlate most with a feature over tokens, in rows chosen by their sample "
    "key.",
    ("feature", "neuron_source", "rank"),
    (
        *FEATURE_COLUMNS,
        Column("neuron_source", pa.string(), "source of the neurons"),
        Column("rank", pa.int32(), "0 has the largest absolute correlation"),
        Column("neuron", pa.int32(), "index of the neuron in its source"),
        Column("pearson", pa.float64(), f"Pearson correlation over valid tokens, {_IN_ROWS}", "1",
               "with error", "`pearson_error`"),
        Column("pearson_error", pa.float64(), "standard error over rows, 0 where `exact`, 1 where "
               "the feature is active in a single row", "1"),
        Column("cosine", pa.float64(), "cosine of their values at these tokens", "1", "sampled"),
        Column("feature_tokens", pa.int64(), "tokens of these at which the feature is active",
               "tokens", "sampled"),
        Column("tokens", pa.int64(), "tokens looked at: those at which some neuron has a value",
               "tokens"),
        Column("rows", pa.int64(), "rows that they are of", "rows"),
        Column("exact", pa.bool_(), "these are all rows of the run"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CorrelatedNeurons:
    """Of each dictionary of a run with each source of neurons whose neurons are watched alone."""

    kind: str = "correlated_neurons"
    summary: str = "neurons of a layer that correlate with a feature, in the rows of `shared`"
    forms: tuple[TableForm, ...] = (CORRELATED_NEURONS,)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the pairs; raises SnapshotError without shared rows, features or neurons."""
        spans = {name: span for name, span in clustering_spans(given) if name.startswith(_SINGLES)}
        named = [str(source["name"]) for source in given.neurons]
        neurons = {name: spans[_SINGLES + name] for name in named if _SINGLES + name in spans}
        features = {
            name: span
            for clustering, span in spans.items()
            if (name := clustering.removeprefix(_SINGLES)) not in named
        }
        if not neurons or not features:
            raise SnapshotError(
                "correlated neurons need a source of neurons that are watched alone ([[neurons]] "
                "with clusters_of_one) in the run, beside a dictionary"
            )
        manifest = given.snapshot.manifest
        firings = read_shared_firings(manifest)
        single = np.zeros(firings.fires.shape[0], np.bool_)
        for span in (*features.values(), *neurons.values()):
            single[span] = True
        values = read_shared_values(manifest, firings, single)
        parts = [
            table
            for neuron_source, span in neurons.items()
            for table in _tables(given, values, features, (neuron_source, span), options.k)
        ]
        found = pa.concat_tables([CORRELATED_NEURONS.schema.empty_table(), *parts])
        sorting = [(name, "ascending") for name in CORRELATED_NEURONS.key]
        said = {"k": options.k, "ranking_k": firings.rows.k, "rows": values.rows}
        return Derived({CORRELATED_NEURONS: found.sort_by(sorting)}, said)


def _tables(
    given: Given,
    values: SharedValues,
    features: dict[str, slice],
    neurons: tuple[str, slice],
    k: int,
) -> Iterator[pa.Table]:
    """Yield a table per dictionary."""
    neuron_source, span = neurons
    by_token = values.value[span].T.tocsr()
    tokens = np.flatnonzero(np.diff(by_token.indptr))
    if not len(tokens):
        return
    row = tokens // values.context
    for source, own in features.items():
        mine = values.value[own].tocsc()[:, tokens].tocsr()
        found = TokenValues(mine, by_token[tokens], row).most_correlated(k, LEAST)
        counts = np.diff(mine.indptr)
        columns: dict[str, AnyArray | list[str]] = {
            "feature": found.feature + given.first_feature(source),
            "source": [source] * len(found.feature),
            "index": found.feature,
            "neuron_source": [neuron_source] * len(found.feature),
            "rank": _ranks(found),
            "neuron": found.neuron,
            "pearson": found.pearson,
            "pearson_error": np.zeros_like(found.error) if values.exact else found.error,
            "cosine": found.cosine,
            "feature_tokens": counts[found.feature],
            "tokens": np.full(len(found.feature), len(tokens)),
            "rows": np.full(len(found.feature), len(np.unique(row))),
            "exact": np.full(len(found.feature), values.exact),
        }
        yield CORRELATED_NEURONS.table(columns)


def _ranks(found: Correlated) -> AnyArray:
    return np.arange(len(found.feature)) - np.searchsorted(found.feature, found.feature)
