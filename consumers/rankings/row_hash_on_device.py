"""Hashes of (sample, cluster) on a device: those of ``row_hash`` in int64, whose products wrap."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from consumers.device_transfer import send
from consumers.rankings.row_hash import FACTORS, cluster_seeds
from consumers.run_clusters import RunClusters
from consumers.statistics.device.activity import DeviceActivity

# The same bits as signed numbers.
_FIRST, _SECOND = np.array(FACTORS, np.uint64).view(np.int64).tolist()


def priorities(activity: DeviceActivity) -> Tensor:
    """Return what ``row_hash.priorities`` does of each of the activity's rows, to the last bit."""
    device = activity.row.device
    words = np.ascontiguousarray(activity.batch.keys).view(">u8").astype(np.uint64)
    keys = send(words.view(np.int64).T, device)
    seeds = _seeds(activity.clusters, device)
    mixed = _mix(keys[1][activity.row] ^ seeds[activity.row_cluster])
    mixed = _mix(mixed.bitwise_xor_(keys[0][activity.row]))
    # 53 bits: rounded once, as the host does by way of float64, which some devices lack.
    return -_shifted(mixed, 11).float()


def _mix(number: Tensor) -> Tensor:
    """Change numbers in place to what splitmix64's finaliser makes of them."""
    number.bitwise_xor_(_shifted(number, 30)).mul_(_FIRST)
    number.bitwise_xor_(_shifted(number, 27)).mul_(_SECOND)
    return number.bitwise_xor_(_shifted(number, 31))


def _shifted(number: Tensor, bits: int) -> Tensor:
    """Return int64 shifted right as if they had no sign: zeros come in."""
    return (number >> bits).bitwise_and_((1 << (64 - bits)) - 1)


@lru_cache(maxsize=2)  # a process has the run's clusters and those of its warm-up
def _seeds(clusters: RunClusters, device: torch.device) -> Tensor:
    return torch.from_numpy(cluster_seeds(clusters).view(np.int64)).to(device)
