"""Tokens that tell a cluster from others: its share of activation against its neighbours'."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from streams.arrays import F64, I64

_LEAST = 0.1
_FLOOR = 0.02
"""Below it a neighbour's share makes no difference: it is less than half an example in twenty."""


@dataclass(frozen=True, slots=True)
class TellingToken:
    """A token of a cluster. share: of its activation. neighbours: the mean share of the others'."""

    token: int
    share: float
    neighbours: float


def token_shares(cluster: I64, token: I64, weight: F64, clusters: int) -> csr_matrix:
    """Return the share [cluster, token] of each cluster's weight that a token has.

    cluster, token, weight: one entry per example; a token of -1 is in no column and counts in the
    whole. A weight that is not finite or not above 0 counts as the smallest number there is.
    """
    weight = np.where(np.isfinite(weight) & (weight > 0), weight, np.finfo(np.float64).tiny)
    whole = np.bincount(cluster, weight, minlength=clusters)
    known = token >= 0
    width = int(token.max(initial=0)) + 1
    place = cluster[known], token[known]
    made = csr_matrix((weight[known] / whole[place[0]], place), shape=(clusters, width))
    made.sum_duplicates()
    return made


def shares_beside(own: csr_matrix, nearest: csr_matrix, first: I64) -> F64:
    """Return the mean share of the others for each entry of ``own``, in the order of its data.

    own: shares [cluster, token]. nearest [cluster, cluster]: 1 for each neighbour; a cluster that
    has none is compared with all others of its clustering. first: where each clustering begins, and
    behind them the number of clusters.
    """
    row = np.repeat(np.arange(own.shape[0]), np.diff(own.indptr))
    count = np.diff(nearest.indptr)
    summed = (nearest @ own).tocsr()
    summed.sum_duplicates()
    key = row * own.shape[1] + own.indices
    found = np.repeat(np.arange(own.shape[0]), np.diff(summed.indptr)) * own.shape[1]
    found = np.r_[found + summed.indices, np.iinfo(np.int64).max]
    at = np.searchsorted(found, key)
    near = np.where(found[at] == key, np.r_[summed.data, 0.0][at], 0.0) / np.maximum(count[row], 1)
    clustering = np.searchsorted(first, np.arange(own.shape[0]), side="right") - 1
    members = csr_matrix(
        (np.ones(len(clustering)), (clustering, np.arange(len(clustering)))),
        shape=(len(first) - 1, len(clustering)),
    )
    total = (members @ own).tocsr()
    of_all = np.asarray(total[clustering[row], own.indices]).reshape(-1)
    others = np.maximum(np.diff(first)[clustering[row]] - 1, 1)
    beside: F64 = np.where(count[row] > 0, near, np.maximum(of_all - own.data, 0.0) / others)
    return beside


def telling_tokens(own: csr_matrix, beside: F64, most: int) -> list[Sequence[TellingToken]]:
    """Return of each cluster up to ``most`` tokens, the most telling first.

    beside: see ``shares_beside``. A token is worth its share times the logarithm of how much larger
    that is than the others' mean. Those with less than a tenth of the activation are left out,
    unless none has more.
    """
    share = own.data
    worth = share * np.log2((share + _FLOOR) / (beside + _FLOOR))
    found: list[Sequence[TellingToken]] = []
    for start, stop in zip(own.indptr[:-1].tolist(), own.indptr[1:].tolist(), strict=True):
        order = start + np.lexsort(
            (own.indices[start:stop], -share[start:stop], -worth[start:stop])
        )
        large = order[share[order] >= _LEAST]
        chosen = (large if len(large) else order[:1])[:most].tolist()
        found.append(
            [TellingToken(int(own.indices[n]), float(share[n]), float(beside[n])) for n in chosen]
        )
    return found
