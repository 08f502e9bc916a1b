"""The panel of correlated neurons: those of a layer whose values go with a feature's."""

import math
from dataclasses import dataclass
from itertools import groupby

from downstream.derived.correlated_neurons import CORRELATED_NEURONS
from downstream.rendering.coactivation import Neighbour, single_clusters
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject, rows_of
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest

_MOST = 20


@dataclass(frozen=True, slots=True)
class CorrelatedNeuron:
    """A neuron: Pearson correlation with its standard error, and cosine; page: its cluster."""

    label: str
    pearson: float
    error: float
    cosine: float
    page: Neighbour | None


@dataclass(frozen=True, slots=True)
class NeuronList:
    """Those of one source, over so many tokens of so many rows."""

    source: str
    neurons: tuple[CorrelatedNeuron, ...]
    feature_tokens: int
    tokens: int
    rows: int
    exact: bool


@dataclass(frozen=True, slots=True)
class ShownNeurons:
    """What the panel shows."""

    lists: tuple[NeuronList, ...]


@dataclass(frozen=True, slots=True)
class CorrelatedNeuronsPanel:
    """Neurons that correlate with a feature."""

    kind: str = "correlated_neurons"
    template: str = "panels/correlated_neurons.html"

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> ShownNeurons | None:
        """Return the neurons of a feature."""
        if subject.feature is None:
            return None
        lists, number = [], subject.feature.number
        rows = rows_of(attached, CORRELATED_NEURONS, "feature", number).to_pylist()
        for source, group in groupby(rows, lambda row: str(row["neuron_source"])):
            some = list(group)[:_MOST]
            labels = [f"{source}:{row['neuron']}" for row in some]
            pages = single_clusters(snapshot, labels)
            neurons = tuple(
                CorrelatedNeuron(
                    label,
                    _finite(row["pearson"]),
                    _finite(row["pearson_error"]),
                    _finite(row["cosine"]),
                    pages.get(label),
                )
                for label, row in zip(labels, some, strict=True)
            )
            counts = {name: some[0][name] for name in ("feature_tokens", "tokens", "rows", "exact")}
            lists.append(NeuronList(source, neurons, **counts))
        return ShownNeurons(tuple(lists)) if lists else None


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise SnapshotError("it holds correlations that are not finite")
    return number
