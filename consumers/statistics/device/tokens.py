"""Firings by token on a device: counts, fixed-point sums and maxima by cluster and token id."""

import numpy as np
import torch

from consumers.device_transfer import fetch, send
from consumers.statistics.contributions import KeySums
from consumers.statistics.device.activity import DeviceActivity
from streams.arrays import Bool


def by_key(activity: DeviceActivity, chosen: Bool) -> KeySums:
    """Return what ``tokens`` counts by key, sorted. chosen [row]: those looked at, on the host."""
    value, ids = activity.cluster_activity, activity.batch.ids
    device, unit = value.device, 2.0**activity.clusters.run.sum_bits
    rows = send(np.flatnonzero(chosen), device)
    # Only their ids cross; all other tokens have none.
    id_of = torch.full(ids.shape, -1, dtype=torch.int64, device=device)
    id_of[rows] = send(ids[chosen].astype(np.int64), device)
    token = id_of.view(-1)[activity.cluster_token]
    at = (token >= 0).nonzero()[:, 0]
    cluster = activity.row_cluster[activity.row_of_token[at]]
    cells, cell, count = torch.unique(
        (cluster << 32) + token[at], return_inverse=True, return_counts=True
    )
    value = value[at]
    total = torch.zeros_like(cells).index_add_(0, cell, (value * unit).round().long())
    most = torch.zeros_like(cells)  # a float32 from 0 on has the order of its bits
    most.scatter_reduce_(0, cell, value.view(torch.int32).long(), "amax")
    found = fetch(torch.stack([cells, count, total, most]))
    keys = (found[0] & 0xFFFFFFFF).astype(np.uint64)
    return KeySums(found[0] >> 32, keys, np.ascontiguousarray(found[1:].T))
