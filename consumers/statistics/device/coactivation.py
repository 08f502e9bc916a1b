"""Co-activation on a device: products of zeros and ones, some tokens at a time."""

from collections.abc import Mapping

import torch

from consumers.device_transfer import fetch
from consumers.run_clusters import ClusteringPlan
from consumers.statistics.contributions import Contributions
from consumers.statistics.device.activity import DeviceActivity
from streams.arrays import I64

# Zeros and ones held at once. Counts are exact in float32 below 2**24 tokens, which no part has.
_ENTRIES, _MOST_TOKENS = 2**26, 2**20


def contribute(activity: DeviceActivity, at: Mapping[str, I64]) -> Contributions:
    """Return what ``Coactivation.contribute`` does."""
    wanted = [each for each in activity.clusters.clusterings if each.coactivation]
    return Contributions(tuple(_pairs(each, activity, at["tokens"]) for each in wanted))


def _pairs(clustering: ClusteringPlan, activity: DeviceActivity, at: I64) -> tuple[I64, I64]:
    count = clustering.stop - clustering.first
    first, stop = activity.token_first[[clustering.first, clustering.stop]].tolist()
    cluster = activity.cluster_of_token()[first:stop] - clustering.first
    token = activity.cluster_token[first:stop]
    # Tokens are numbered through those at which something is active, so that no column is empty.
    seen, number = torch.unique(token, return_inverse=True)
    size = max(1, min(_ENTRIES // max(count, 1), _MOST_TOKENS, len(seen)))
    both = torch.zeros((count, count), dtype=torch.int64, device=token.device)
    for begin in range(0, len(seen), size):
        inside = ((number >= begin) & (number < begin + size)).nonzero()[:, 0]
        fires = torch.zeros((count, min(size, len(seen) - begin)), device=token.device)
        fires[cluster[inside], number[inside] - begin] = 1
        both += (fires @ fires.T).long()
    both.fill_diagonal_(0)
    a, b = both.nonzero(as_tuple=True)
    found = fetch(torch.stack([a, b, both[a, b]]))
    return at[found[0] + clustering.first] + found[1], found[2]
