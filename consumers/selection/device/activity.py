"""Activity of clusters in one batch as tensors: runs, tokens and rows, as ``ClusterActivity``."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from consumers.activations.device_activations import DeviceActivations
from consumers.run_clusters import RunClusters
from consumers.statistics.activity import ClusterActivity, ClusterTokens, FiringRows, Runs
from streams.arrays import AnyArray, Bool
from streams.records.corpus import TokenBatch

SILENT = -torch.inf


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


@dataclass(frozen=True, slots=True, eq=False)
class DeviceActivity:
    """All tensors are int64 but activity, value and maximum, which are float32.

    first [component + 1], token, value, activity, fired [component]: as in ``Runs``.
    token_first [cluster + 1], cluster_token, cluster_activity: as in ``ClusterTokens``.
    row_cluster, row, row_first, row_stop, maximum, peak: as in ``FiringRows``. row_of_token: which
    of these each of the clusters' tokens is in.
    """

    positions: int
    first: Tensor
    token: Tensor
    value: Tensor
    activity: Tensor
    fired: Tensor
    token_first: Tensor
    cluster_token: Tensor
    cluster_activity: Tensor
    row_cluster: Tensor
    row: Tensor
    row_first: Tensor
    row_stop: Tensor
    maximum: Tensor
    peak: Tensor
    row_of_token: Tensor

    def cluster_of_token(self) -> Tensor:
        """Return whose each of the clusters' tokens is."""
        return owners(self.token_first)

    def to_host(self, clusters: RunClusters, batch: TokenBatch, valid: Bool) -> ClusterActivity:
        """Return the same as arrays, for what has no form for the device."""

        def array(tensor: Tensor, kind: type) -> AnyArray:
            return tensor.cpu().numpy().astype(kind, copy=False)

        runs = Runs(
            self.positions,
            array(self.first, np.int64),
            array(self.token, np.int32),
            array(self.value, np.float32),
            array(self.activity, np.float32),
            array(self.fired, np.int64),
        )
        tokens = ClusterTokens(
            array(self.token_first, np.int64),
            array(self.cluster_token, np.int32),
            array(self.cluster_activity, np.float32),
        )
        rows = array(self.row_cluster, np.uint32)
        begin = np.searchsorted(rows, np.arange(len(tokens.first)))
        found = FiringRows(
            begin.astype(np.int64),
            rows,
            array(self.row, np.int32),
            array(self.row_first, np.int64),
            array(self.row_stop, np.int64),
            array(self.maximum, np.float32),
            array(self.peak, np.int64),
        )
        return ClusterActivity(clusters, batch, valid, runs, tokens, found)


def device_activity(clusters: DeviceClusters, found: DeviceActivations) -> DeviceActivity:
    """Return where clusters are active in a batch, and in which rows.

    A cluster's activity is the largest of its members', wherever these lie: in any chunk, of any
    source. Memory grows with the entries that are not 0, never with features times tokens.
    """
    component = owners(found.first)
    sign = clusters.sign[component]
    shown = torch.where((sign < 0) | ((sign == 0) & (found.value < 0)), -found.value, found.value)
    fires = shown > clusters.threshold[component]
    activity = torch.where(fires, shown, SILENT)
    fired = torch.bincount(component[fires], minlength=len(found.first) - 1)
    token, firing = found.token[fires], shown[fires]
    cluster, token, strongest = _cluster_tokens(clusters, bounds(fired), token, firing)
    counts = torch.bincount(cluster, minlength=len(clusters.member_first) - 1)
    rows = _rows(cluster, token // found.positions, strongest)
    return DeviceActivity(
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
    )


def owners(first: Tensor) -> Tensor:
    """Return for each entry whose it is; first [owner + 1]: where the entries of each begin."""
    every = torch.arange(len(first) - 1, device=first.device)
    return every.repeat_interleave(first.diff())


def bounds(count: Tensor) -> Tensor:
    """Return where the entries of each owner begin, [owner + 1]; count [owner]."""
    return torch.cat([count.new_zeros(1), count.cumsum(0)])


def slices(begin: Tensor, length: Tensor) -> Tensor:
    """Return the indices begin to begin + length - 1 of all slices, one slice after the other."""
    first = bounds(length)
    shift = (begin - first[:-1]).repeat_interleave(length)
    return torch.arange(len(shift), device=begin.device) + shift


def _cluster_tokens(
    clusters: DeviceClusters, first: Tensor, token: Tensor, activity: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return cluster, token and largest activity of members, by cluster and then by token.

    first [component + 1]: where the entries of each component begin, all of which fire.
    """
    if clusters.each_itself:
        return owners(first), token, activity
    sizes = clusters.member_first.diff()
    length = first.diff()[clusters.members]
    at = slices(first[clusters.members], length)
    cluster = owners(clusters.member_first).repeat_interleave(length)
    token, activity = token[at], activity[at]
    several = (sizes > 1)[cluster]
    # Only what has several members is sorted; equal keys are one token of one cluster.
    key = (cluster << 32) + token
    unique, slot = torch.unique(key[several], return_inverse=True)
    largest = torch.full(unique.shape, SILENT, device=key.device)
    largest.scatter_reduce_(0, slot, activity[several], "amax")
    keys = torch.cat([key[~several], unique])
    both = torch.cat([activity[~several], largest])
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
