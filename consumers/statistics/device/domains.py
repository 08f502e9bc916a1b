"""Tokens and rows by domain on a device."""

import numpy as np
import torch

from consumers.device_transfer import fetch, send
from consumers.statistics.contributions import KeySums
from consumers.statistics.device.activity import DeviceActivity
from streams.arrays import I64, U64


def firings(activity: DeviceActivity, of_row: I64, keys: U64) -> KeySums:
    """Return tokens and rows by cluster and domain, sorted.

    of_row [row]: the number of a row's domain, -1 for none. keys: of each domain, ascending. Both
    on the host.
    """
    domain = send(of_row, activity.row.device)[activity.row]
    at = (domain >= 0).nonzero()[:, 0]
    cells, cell, rows = torch.unique(
        activity.row_cluster[at] * len(keys) + domain[at], return_inverse=True, return_counts=True
    )
    tokens = (activity.row_stop - activity.row_first)[at]
    tokens = torch.zeros_like(cells).index_add_(0, cell, tokens)
    found = fetch(torch.stack([cells, tokens, rows]))
    cluster, number = np.divmod(found[0], len(keys))
    return KeySums(cluster, keys[number], np.ascontiguousarray(found[1:].T))
