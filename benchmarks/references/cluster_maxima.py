"""The maximum of each cluster's components at every token, by a loop over clusters."""

from collections.abc import Sequence

import torch
from torch import Tensor


def loop_over_clusters(activations: Tensor, members: Sequence[Sequence[int]]) -> Tensor:
    """Return float32 [token, cluster] from activations [token, component].

    members: the components of each cluster. One without members reads zero.
    """
    found = torch.zeros((len(activations), len(members)))
    for cluster, components in enumerate(members):
        if components:
            found[:, cluster] = activations[:, components].max(dim=1).values
    return found
