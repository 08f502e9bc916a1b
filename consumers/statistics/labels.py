"""Names of components and clusters as Arrow arrays, without a Python object each."""

from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumers.run_clusters import RunClusters
from streams.arrays import I64, AnyArray, Bool


def component_labels(plan: RunClusters, components: I64) -> pa.Array:
    """Return the labels ``source:index`` of global component numbers, as strings."""
    source = source_of(plan, components)
    names = pa.array([s.name for s in plan.run.sources], pa.string()).take(pa.array(source))
    index = pa.array(components - plan.component_first[source]).cast(pa.string())
    return pc.binary_join_element_wise(names, index, ":")


def source_of(plan: RunClusters, components: I64) -> AnyArray:
    """Return the numbers of the sources that global component numbers belong to."""
    return np.searchsorted(plan.component_first, components, side="right") - 1


def dropped_components(plan: RunClusters) -> Bool:
    """Return, per component of the run, whether the settings leave it out."""
    dropped = np.zeros(plan.components, dtype=bool)
    for first, source in zip(plan.component_first, plan.run.sources, strict=False):
        dropped[first + np.asarray(source.dropped, np.int64)] = True
    return dropped


def member_labels(plan: RunClusters, clusters: range) -> pa.ListArray:
    """Return the labels of the live members of each cluster."""
    bounds = plan.member_first[clusters.start : clusters.stop + 1]
    labels = component_labels(plan, plan.members[bounds[0] : bounds[-1]])
    return pa.ListArray.from_arrays(pa.array(bounds - bounds[0], pa.int32()), labels)


def dropped_labels(plan: RunClusters, clusters: range) -> pa.ListArray:
    """Return the labels of the members of each cluster that the settings leave out."""
    bounds = plan.listed_first[clusters.start : clusters.stop + 1]
    listed = plan.listed[bounds[0] : bounds[-1]]
    dropped = dropped_components(plan)[listed]
    left = np.r_[0, np.cumsum(dropped)][bounds - bounds[0]]
    labels = component_labels(plan, listed[dropped])
    return pa.ListArray.from_arrays(pa.array(left, pa.int32()), labels)


def cluster_labels(plan: RunClusters, clusters: range) -> pa.Array:
    """Return the label of each cluster, as strings."""
    parts = (
        part.labels[max(clusters.start - part.first, 0) : max(clusters.stop - part.first, 0)]
        for part in plan.clusterings
    )
    return pa.array(list(chain.from_iterable(parts)), pa.string())


def clustering_of(plan: RunClusters, clusters: range) -> AnyArray:
    """Return the number of each cluster's clustering."""
    firsts = [part.first for part in plan.clusterings]
    return np.searchsorted(firsts, np.asarray(clusters), side="right") - 1
