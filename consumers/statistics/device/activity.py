"""Activity of clusters in one batch as tensors: runs, tokens and rows, as ``ClusterActivity``."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from consumers.device_transfer import fetch
from consumers.run_clusters import RunClusters
from consumers.statistics.activity import ClusterActivity, ClusterTokens, FiringRows, Runs
from consumers.statistics.measured import Measured
from streams.arrays import AnyArray, Bool
from streams.records.corpus import TokenBatch

SILENT = -torch.inf


@dataclass(frozen=True, slots=True, eq=False)
class DeviceActivity:
    """What statistics and rankings see of a batch on a device, as ``ClusterActivity`` on the host.

    valid [row, position], on the host: the tokens that count. All else is tensors on the device,
    int64 but activity, value, cluster_activity and maximum, which are float32.
    first [component + 1], token, value, activity, fired [component]: as in ``Runs``.
    token_first [cluster + 1], cluster_token, cluster_activity: as in ``ClusterTokens``.
    row_cluster, row, row_first, row_stop, maximum, peak: as in ``FiringRows``. row_of_token: which
    of these each of the clusters' tokens is in.
    """

    clusters: RunClusters
    batch: TokenBatch
    valid: Bool
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
    measured: Measured = field(default_factory=dict, kw_only=True)

    def cluster_of_token(self) -> Tensor:
        """Return whose each of the clusters' tokens is."""
        return owners(self.token_first, len(self.cluster_token))

    def tokens_to_host(self) -> ClusterTokens:
        """Return where clusters are active as arrays."""
        return ClusterTokens(
            _array(self.token_first, np.int64),
            _array(self.cluster_token, np.int32),
            _array(self.cluster_activity, np.float32),
        )

    def to_host(self) -> ClusterActivity:
        """Return the same as arrays, for what has no form for the device."""

        runs = Runs(
            self.positions,
            _array(self.first, np.int64),
            _array(self.token, np.int32),
            _array(self.value, np.float32),
            _array(self.activity, np.float32),
            _array(self.fired, np.int64),
        )
        tokens = self.tokens_to_host()
        rows = _array(self.row_cluster, np.uint32)
        begin = np.searchsorted(rows, np.arange(len(tokens.first)))
        found = FiringRows(
            begin.astype(np.int64),
            rows,
            _array(self.row, np.int32),
            _array(self.row_first, np.int64),
            _array(self.row_stop, np.int64),
            _array(self.maximum, np.float32),
            _array(self.peak, np.int64),
        )
        return ClusterActivity(
            self.clusters, self.batch, self.valid, runs, tokens, found, measured=self.measured
        )


def _array(tensor: Tensor, kind: type) -> AnyArray:
    return fetch(tensor).astype(kind, copy=False)


def owners(first: Tensor, entries: int | None = None) -> Tensor:
    """Return for each entry whose it is; first [owner + 1]: where the entries of each begin.

    entries: how many there are, where it is known, or the device has to be asked and waited for.
    """
    every = torch.arange(len(first) - 1, device=first.device)
    return every.repeat_interleave(first.diff(), output_size=entries)


def bounds(count: Tensor) -> Tensor:
    """Return where the entries of each owner begin, [owner + 1]; count [owner]."""
    return torch.cat([count.new_zeros(1), count.cumsum(0)])


def counts_of(owner: Tensor, owners: int) -> Tensor:
    """Return how many entries each owner has, int64 [owner]; owner: of each entry, ascending.

    ``bincount`` would do, too, but CUDA waits twice in it, for the smallest and the largest.
    """
    return torch.searchsorted(owner, torch.arange(owners + 1, device=owner.device)).diff()


def slices(begin: Tensor, length: Tensor) -> Tensor:
    """Return the indices begin to begin + length - 1 of all slices, one slice after the other."""
    first = bounds(length)
    shift = (begin - first[:-1]).repeat_interleave(length)
    return torch.arange(len(shift), device=begin.device) + shift
