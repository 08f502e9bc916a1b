"""Activation by position on a device: tokens and fixed-point sums of each bin of positions."""

import numpy as np
import torch

from consumers.device_transfer import fetch
from consumers.statistics.counter_merge import Counts
from consumers.statistics.device.activity import DeviceActivity
from streams.arrays import I64


def along_rows(activity: DeviceActivity, at: I64, width: int, bins: int) -> Counts:
    """Return addresses, ascending, and what is added: per bin tokens and behind them their sum.

    at [cluster]: the first address, on the host. width: positions of a bin.
    """
    value, unit = activity.cluster_activity, 2.0**activity.clusters.run.sum_bits
    bin_ = activity.cluster_token % activity.positions // width
    key = activity.cluster_of_token() * bins + bin_
    cells, cell, count = torch.unique(key, return_inverse=True, return_counts=True)
    total = torch.zeros_like(cells).index_add_(0, cell, (value * unit).round().long())
    found = fetch(torch.stack([cells, count, total]))
    owner, which = np.divmod(found[0], bins)
    address, added = at[owner] + 2 * which, found[1:].T
    some = added > 0
    return np.stack([address, address + 1], axis=1)[some], added[some]
