"""Peak positions on a device."""

from collections.abc import Mapping

from consumers.statistics.contributions import Contributions
from consumers.statistics.device.activity import DeviceActivity
from consumers.statistics.device.histograms import histograms
from streams.arrays import I64


def contribute(activity: DeviceActivity, at: Mapping[str, I64], width: int) -> Contributions:
    """Return what ``PeakPosition.contribute`` does. width: positions of a bin."""
    position = activity.cluster_token[activity.peak] - activity.row * activity.positions
    bins = -(-activity.clusters.run.context // width)
    counts = histograms(activity.row_cluster, position // width, at["rows"], bins)
    return Contributions((counts,))
