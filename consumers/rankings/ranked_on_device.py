"""Rankings on a device: rows that score enough, by the largest activation or the last token's."""

import numpy as np
import torch
from torch import Tensor

from consumers.device_transfer import fetch
from consumers.rankings.ranking import Candidates
from consumers.statistics.device.activity import DeviceActivity, bounds, counts_of
from streams.arrays import F32, U8, Bool

_LOW = 0x7FFFFFFF


def maxima(activity: DeviceActivity, least: F32, k: int) -> Candidates:
    """Return what ``Maximum.candidates`` does, but for what the batch itself beats.

    least: [cluster, 1], on the host. k: examples of a cluster; a row that k others of its cluster
    beat, all of different samples, is left out.
    """
    lowest = _on(least, activity)
    strong = (activity.maximum >= lowest[activity.row_cluster]).nonzero()[:, 0]
    cluster, score = activity.row_cluster[strong], activity.maximum[strong]
    kept = _unbeaten(activity, cluster, score, activity.row[strong], k)
    token = activity.cluster_token[activity.peak[strong[kept]]]
    return _to_host(cluster[kept], score[kept], token)


def lasts(activity: DeviceActivity, least: F32, k: int) -> Candidates:
    """Return what ``Last.candidates`` does, likewise."""
    valid = activity.valid
    rows, positions = valid.shape
    last = positions - 1 - np.argmax(valid[:, ::-1], axis=1)
    is_last = np.zeros(valid.size, np.bool_)
    is_last[np.arange(rows) * positions + last] = True
    ends = torch.from_numpy(is_last).to(activity.cluster_token.device)
    lowest = _on(least, activity)
    at = ends[activity.cluster_token].nonzero()[:, 0]
    cluster, score = activity.cluster_of_token()[at], activity.cluster_activity[at]
    strong = (score >= lowest[cluster]).nonzero()[:, 0]
    row = activity.cluster_token[at[strong]] // activity.positions
    strong = strong[_unbeaten(activity, cluster[strong], score[strong], row, k)]
    return _to_host(cluster[strong], score[strong], activity.cluster_token[at[strong]])


def _unbeaten(
    activity: DeviceActivity, cluster: Tensor, score: Tensor, row: Tensor, k: int
) -> Tensor:
    """Return the indices of the rows that score as much as the k-th best sample of their cluster.

    cluster, score, row: of rows that may be examples, by cluster; scores are above 0. Of a sample
    that is in the batch more than once the first row is counted.
    """
    every = torch.arange(len(cluster), device=cluster.device)
    size = counts_of(cluster, len(activity.token_first) - 1)
    if not len(cluster) or int(size.max()) <= k:
        return every
    # Positive floats are ordered like their bits: by cluster, and in it the best first.
    bits = score.view(torch.int32).long()
    order = ((cluster << 32) + (_LOW - bits)).argsort()
    counts = torch.from_numpy(_first_of_samples(activity.batch.keys)).to(cluster.device)
    counted = counts[row[order]].long().cumsum(0)
    owner = cluster[order]
    before = torch.cat([counted.new_zeros(1), counted])[bounds(size)[owner]]
    # The first row with k samples up to it scores as the k-th best.
    kth = torch.zeros_like(size)
    at = ((counted - before) == k).nonzero()[:, 0]
    kth.scatter_reduce_(0, owner[at], bits[order[at]], "amax")
    return (bits >= kth[cluster]).nonzero()[:, 0]


def _first_of_samples(keys: U8) -> Bool:
    """Return which rows are the first with their sample key, [row]; keys: [row, 16]."""
    _, first = np.unique(keys.view("V16")[:, 0], return_index=True)
    counts = np.zeros(len(keys), np.bool_)
    counts[first] = True
    return counts


def _on(least: F32, activity: DeviceActivity) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(least[:, 0])).to(activity.maximum.device)


def _to_host(cluster: Tensor, score: Tensor, token: Tensor) -> Candidates:
    bits = score.view(torch.int32).long()
    found = fetch(torch.stack([cluster, bits, token]))
    return Candidates(
        found[0].astype(np.uint32),
        found[1].astype(np.int32).view(np.float32),
        found[2].astype(np.int32),
    )
