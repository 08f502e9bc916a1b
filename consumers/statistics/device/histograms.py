"""Histograms per cluster on a device: how often each bin occurs."""

import numpy as np
import torch
from torch import Tensor

from consumers.device_transfer import fetch
from consumers.statistics.counter_merge import Counts
from streams.arrays import I64


def histograms(cluster: Tensor, bins: Tensor, at: I64, width: int) -> Counts:
    """Return addresses, ascending, and counts of the bins that occur, on the host.

    cluster, bins: of each entry, the latter from 0 to ``width`` - 1. at [cluster]: the address of
    bin 0, on the host; addresses of later clusters are larger.
    """
    cells, count = torch.unique(cluster * width + bins, return_counts=True)
    found = fetch(torch.stack([cells, count]))
    owner, bin_ = np.divmod(found[0], width)
    return at[owner] + bin_, found[1]
