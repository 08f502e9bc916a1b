"""Rankings on a device: rows that score enough, by the largest activation or the last token's."""

import numpy as np
import torch
from torch import Tensor

from consumers.rankings.ranking import Candidates
from consumers.statistics.device.activity import DeviceActivity
from streams.arrays import F32


def maxima(activity: DeviceActivity, least: F32) -> Candidates:
    """Return what ``Maximum.candidates`` does; least: [cluster, 1], on the host."""
    lowest = _on(least, activity)
    strong = (activity.maximum >= lowest[activity.row_cluster]).nonzero()[:, 0]
    token = activity.cluster_token[activity.peak[strong]]
    return _to_host(activity.row_cluster[strong], activity.maximum[strong], token)


def lasts(activity: DeviceActivity, least: F32) -> Candidates:
    """Return what ``Last.candidates`` does; least: likewise."""
    valid = activity.valid
    rows, positions = valid.shape
    last = positions - 1 - np.argmax(valid[:, ::-1], axis=1)
    is_last = np.zeros(valid.size, np.bool_)
    is_last[np.arange(rows) * positions + last] = True
    ends = torch.from_numpy(is_last).to(activity.cluster_token.device)
    lowest = _on(least, activity)
    at = ends[activity.cluster_token].nonzero()[:, 0]
    cluster, score = activity.cluster_of_token()[at], activity.cluster_activity[at]
    strong = score >= lowest[cluster]
    at = at[strong]
    return _to_host(cluster[strong], score[strong], activity.cluster_token[at])


def _on(least: F32, activity: DeviceActivity) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(least[:, 0])).to(activity.maximum.device)


def _to_host(cluster: Tensor, score: Tensor, token: Tensor) -> Candidates:
    bits = score.view(torch.int32).long()
    found = torch.stack([cluster, bits, token]).cpu().numpy()
    return Candidates(
        found[0].astype(np.uint32),
        found[1].astype(np.int32).view(np.float32),
        found[2].astype(np.int32),
    )
