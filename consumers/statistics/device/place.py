"""First and last row of clusters on a device."""

import torch

from consumers.device_transfer import fetch
from consumers.statistics.device.activity import DeviceActivity
from streams.arrays import I64


def first_and_last(activity: DeviceActivity) -> tuple[I64, I64, I64]:
    """Return the clusters that are active, ascending, and of each its first and last row."""
    cluster, rows = torch.unique_consecutive(activity.row_cluster, return_counts=True)
    stop = rows.cumsum(0)
    found = torch.stack([cluster, activity.row[stop - rows], activity.row[stop - 1]])
    first_last: tuple[I64, I64, I64] = tuple(fetch(found))
    return first_last
