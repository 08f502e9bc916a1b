"""Activation on a device: counters, bins, fixed-point sums and extremes, dense, of a batch."""

from collections.abc import Mapping

import numpy as np
import torch

from consumers.device_transfer import fetch
from consumers.statistics.activation import check_sums
from consumers.statistics.contributions import Contributions, MomentSums
from consumers.statistics.device.activity import DeviceActivity, counts_of
from streams.arrays import I64


def contribute(activity: DeviceActivity, at: Mapping[str, I64]) -> Contributions:
    """Return what ``Activation.contribute`` does, to the last bit; raises OverflowingSumError.

    Sums need no float64, which some devices lack: float32 times a power of two is exact, and
    ``round`` takes halves to the even neighbour.
    """
    run, value = activity.clusters.run, activity.cluster_activity
    count, bins = activity.clusters.clusters, len(run.edges) + 1
    tokens = activity.token_first.diff()
    device = value.device
    if len(value):
        # Both at once: the activity, which is above 0, as the bits of an integer.
        most, longest = fetch(torch.stack([value.max().view(torch.int32).long(), tokens.max()]))
        check_sums(run.sum_bits, float(most.astype(np.int32).view(np.float32)), int(longest))
    cluster = activity.cluster_of_token()
    edges = torch.from_numpy(run.edges.astype(np.float32)).to(device)
    bin_ = torch.bucketize(value, edges, right=True)
    numbers = [
        tokens,
        counts_of(activity.row_cluster, count),
        tokens.new_zeros(count * bins).index_add_(
            0, cluster * bins + bin_, torch.ones_like(cluster)
        ),
        activity.fired,
    ]
    fixed = (value * 2.0**run.sum_bits).round().long()
    numbers.append(torch.zeros_like(tokens).index_add_(0, cluster, fixed))
    low = torch.full((count,), torch.inf, device=device).scatter_reduce_(0, cluster, value, "amin")
    high = torch.full((count,), -torch.inf, device=device)
    high.scatter_reduce_(0, cluster, value, "amax")
    # One transfer: floats as the bits of integers.
    bits = torch.cat([low, high]).view(torch.int32).long()
    dense = fetch(torch.cat([*numbers, bits]))
    ends = np.cumsum([len(part) for part in numbers])
    n_tokens, n_rows, n_bins, fired, sums, extremes = np.split(dense, ends)
    return _sparse(at, n_tokens, n_rows, n_bins.reshape(count, bins), fired, sums, extremes)


def _sparse(
    at: Mapping[str, I64], tokens: I64, rows: I64, bins: I64, fired: I64, sums: I64, extremes: I64
) -> Contributions:
    firing, features = np.flatnonzero(tokens), np.flatnonzero(fired)
    held = np.c_[tokens[firing], rows[firing], bins[firing]]
    addresses = np.c_[
        at["tokens"][firing],
        at["rows"][firing],
        at["bins"][firing][:, None] + np.arange(bins.shape[1]),
    ]
    some = held > 0
    low, high = extremes.astype(np.int32).view(np.float32).reshape(2, len(tokens))[:, firing]
    return Contributions(
        sums=(
            (addresses[some], held[some]),
            (at["feature_tokens"][features], fired[features]),
        ),
        moments=(MomentSums(at["activation"][firing], sums[firing], low, high),),
    )
