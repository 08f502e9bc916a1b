"""Membership on a device: from features' activations to those of clusters, and their rows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from consumers.activations.device_activations import DeviceActivations
from consumers.run_clusters import RunClusters
from consumers.statistics.device.activity import (
    SILENT,
    DeviceActivity,
    bounds,
    counts_of,
    owners,
    slices,
)
from streams.arrays import Bool
from streams.records.corpus import TokenBatch


@dataclass(frozen=True, slots=True, eq=False)
class DeviceClusters:
    """What is needed of a run's clusters on a device; made once. Meanings as in ``RunClusters``.

    each_itself: every cluster is the component of its number and nothing else.
    """

    member_first: Tensor
    members: Tensor
    threshold: Tensor
    sign: Tensor
    each_itself: bool

    @staticmethod
    def of(clusters: RunClusters, device: torch.device) -> "DeviceClusters":
        """Return the clusters of a run on a device."""
        count = clusters.components
        single = np.array_equal(clusters.member_first, np.arange(clusters.clusters + 1))
        arrays = (clusters.member_first, clusters.members, clusters.threshold, clusters.sign)
        tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]
        each_itself = single and np.array_equal(clusters.members, np.arange(count))
        return DeviceClusters(tensors[0], tensors[1], tensors[2], tensors[3], each_itself)


def device_activity(
    plan: RunClusters,
    clusters: DeviceClusters,
    batch: TokenBatch,
    valid: Bool,
    found: DeviceActivations,
) -> DeviceActivity:
    """Return where clusters are active in a batch, and in which rows.

    A cluster's activity is the largest of its members', wherever these lie: in any chunk, of any
    source. Memory grows with the entries that are not 0, never with features times tokens.
    """
    component = owners(found.first, len(found.token))
    sign = clusters.sign[component]
    shown = torch.where((sign < 0) | ((sign == 0) & (found.value < 0)), -found.value, found.value)
    fires = shown > clusters.threshold[component]
    activity = torch.where(fires, shown, SILENT)
    at = fires.nonzero()[:, 0]  # once: each use of a mask as an index waits for the device
    fired = counts_of(component[at], len(found.first) - 1)
    token, firing = found.token[at], shown[at]
    cluster, token, strongest = _cluster_tokens(clusters, bounds(fired), token, firing)
    counts = counts_of(cluster, len(clusters.member_first) - 1)
    rows = _rows(cluster, token // found.positions, strongest)
    return DeviceActivity(
        plan,
        batch,
        valid,
        found.positions,
        found.first,
        found.token,
        found.value,
        activity,
        fired,
        bounds(counts),
        token,
        strongest,
        *rows,
        measured=found.measured,
    )


def _cluster_tokens(
    clusters: DeviceClusters, first: Tensor, token: Tensor, activity: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return cluster, token and largest activity of members, by cluster and then by token.

    first [component + 1]: where the entries of each component begin, all of which fire.
    """
    if clusters.each_itself:
        return owners(first, len(token)), token, activity
    sizes = clusters.member_first.diff()
    length = first.diff()[clusters.members]
    at = slices(first[clusters.members], length)
    owner = owners(clusters.member_first, len(clusters.members))
    cluster = owner.repeat_interleave(length, output_size=len(at))
    token, activity = token[at], activity[at]
    is_several = (sizes > 1)[cluster]
    several, alone = is_several.nonzero()[:, 0], is_several.logical_not().nonzero()[:, 0]
    # Only what has several members is sorted; equal keys are one token of one cluster.
    key = (cluster << 32) + token
    unique, slot = torch.unique(key[several], return_inverse=True)
    largest = torch.full(unique.shape, SILENT, device=key.device)
    largest.scatter_reduce_(0, slot, activity[several], "amax")
    keys = torch.cat([key[alone], unique])
    both = torch.cat([activity[alone], largest])
    order = keys.argsort()
    keys = keys[order]
    return keys >> 32, keys & 0xFFFFFFFF, both[order]


def _rows(cluster: Tensor, row: Tensor, activity: Tensor) -> tuple[Tensor, ...]:
    """Return cluster, row, first, stop, maximum and peak of rows, and the row of each entry."""
    size = len(cluster)
    begins = torch.ones(size, dtype=torch.bool, device=cluster.device)
    begins[1:] = (cluster[1:] != cluster[:-1]) | (row[1:] != row[:-1])
    first = begins.nonzero()[:, 0]
    number = begins.cumsum(0) - 1
    stop = torch.cat([first[1:], first.new_full((min(len(first), 1),), size)])
    maximum = torch.full(first.shape, SILENT, device=cluster.device)
    maximum.scatter_reduce_(0, number, activity, "amax")
    peaks = (activity == maximum[number]).nonzero()[:, 0]
    peak = torch.full_like(first, size).scatter_reduce_(0, number[peaks], peaks, "amin")
    return cluster[first], row[first], first, stop, maximum, peak, number
