"""ClusterActivations: the largest activation among the live members of each cluster, per sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from consumers.storage.processed_activations import ProcessedActivations

Components = Mapping[int, Sequence[Mapping[str, Any]]]
"""By cluster index, its members: each with ``module``, ``index`` and ``label``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterActivations:
    """activations: [sample, cluster], in memory cluster by cluster. cluster_indices: of columns."""

    activations: Tensor
    cluster_indices: list[int]


def compute_all_cluster_activations(
    processed: ProcessedActivations, cluster_components: Components, batch_size: int, seq_len: int
) -> ClusterActivations:
    """Return the activations of all clusters, by ascending index; one without live members is 0.

    Raises ValueError unless there are ``batch_size`` x ``seq_len`` samples, and KeyError for a
    member that is no component.
    """
    indices = sorted(cluster_components)
    values = processed.activations
    samples = batch_size * seq_len
    if len(values) != samples:
        raise ValueError(
            f"{len(values):,} samples are no {batch_size:,} rows of {seq_len:,} positions"
        )
    columns, lengths = list[int](), list[int]()
    for index in indices:
        found = [processed.get_label_index(each["label"]) for each in cluster_components[index]]
        alive = [at for at in found if at is not None]
        columns += alive
        lengths.append(len(alive))
    out = values.new_zeros((len(indices), samples))
    some = [at for at, length in enumerate(lengths) if length]
    if some and samples:
        members = values.T[torch.tensor(columns, device=values.device)].contiguous()
        of_cluster = torch.tensor([lengths[at] for at in some], device=values.device)
        out[some] = torch.segment_reduce(members, "max", lengths=of_cluster, axis=0)
    return ClusterActivations(activations=out.T, cluster_indices=indices)
