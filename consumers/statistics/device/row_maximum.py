"""Row maxima on a device."""

from collections.abc import Mapping

import numpy as np
import torch

from consumers.statistics.contributions import Contributions
from consumers.statistics.device.activity import DeviceActivity
from consumers.statistics.device.histograms import histograms
from streams.arrays import I64


def contribute(activity: DeviceActivity, at: Mapping[str, I64]) -> Contributions:
    """Return what ``RowMaximum.contribute`` does."""
    lower = activity.clusters.run.edges.astype(np.float32)
    edges = torch.from_numpy(lower).to(activity.maximum.device)
    bins = torch.bucketize(activity.maximum, edges, right=True)
    return Contributions((histograms(activity.row_cluster, bins, at["rows"], len(lower) + 1),))
