"""Firings of each source of a run, counted on a device."""

import numpy as np
import torch

from consumers.device_transfer import fetch
from consumers.statistics.device.activity import DeviceActivity
from streams.arrays import I64


def fired_by_source(activity: DeviceActivity) -> I64:
    """Return at how many (token, feature) pairs each source is active, int64 [source]."""
    first = activity.clusters.component_first
    sizes = torch.from_numpy(np.diff(first)).to(activity.fired.device)
    source = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    total = torch.zeros_like(sizes).index_add_(0, source, activity.fired)
    found: I64 = fetch(total)
    return found
