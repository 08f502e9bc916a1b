"""Rankings on a device: rows that score enough and that the batch itself does not beat."""

import numpy as np
import torch
from torch import Tensor

from consumers.device_transfer import fetch, send
from consumers.rankings.ranking import Candidates
from consumers.statistics.device.activity import DeviceActivity, bounds
from streams.arrays import F32, U8, Bool

_ALL_BUT_SIGN = 0x7FFFFFFF


def candidates_of_rows(
    activity: DeviceActivity, score: Tensor, least: F32, k: int, table: Tensor | None = None
) -> Candidates:
    """Return what ``ranking.candidates_of_rows`` does, but for what the batch itself beats.

    score, float32, and table, int64: of each of the activity's rows; equal samples have equal ones.
    least: [cluster, table], on the host. k: rows of a table; a row that k others of its table beat,
    all of different samples, is left out.
    """
    group = activity.row_cluster
    if table is not None:
        group = group * least.shape[1] + table
    strong = (score >= _on(least, activity)[group]).nonzero()[:, 0]
    strong = strong[_unbeaten(activity, group[strong], score[strong], activity.row[strong], k)]
    token = activity.cluster_token[activity.peak[strong]]
    found = _to_host(group[strong], score[strong], token)
    if table is None:
        return found
    cluster, number = np.divmod(found.cluster, np.uint32(least.shape[1]))
    return found._replace(cluster=cluster, table=number)


def lasts(activity: DeviceActivity, least: F32, k: int) -> Candidates:
    """Return what ``Last.candidates`` does, likewise."""
    valid = activity.valid
    rows, positions = valid.shape
    last = positions - 1 - np.argmax(valid[:, ::-1], axis=1)
    is_last = np.zeros(valid.size, np.bool_)
    is_last[np.arange(rows) * positions + last] = True
    ends = send(is_last, activity.cluster_token.device)
    lowest = _on(least, activity)
    at = ends[activity.cluster_token].nonzero()[:, 0]
    cluster, score = activity.cluster_of_token()[at], activity.cluster_activity[at]
    strong = (score >= lowest[cluster]).nonzero()[:, 0]
    row = activity.cluster_token[at[strong]] // activity.positions
    strong = strong[_unbeaten(activity, cluster[strong], score[strong], row, k)]
    return _to_host(cluster[strong], score[strong], activity.cluster_token[at[strong]])


def of_rows(activity: DeviceActivity, scores: F32) -> Tensor:
    """Return the scores of a batch's rows, [row] on the host, for each of the activity's rows."""
    return send(scores, activity.maximum.device)[activity.row]


def intervals(activity: DeviceActivity) -> Tensor:
    """Return in which bin of the histogram each row's maximum lies, the highest bin first."""
    edges = torch.from_numpy(activity.clusters.run.edges.astype(np.float32))
    edges = edges.to(activity.maximum.device)
    return len(edges) - torch.bucketize(activity.maximum, edges, right=True)


def _unbeaten(
    activity: DeviceActivity, table: Tensor, score: Tensor, row: Tensor, k: int
) -> Tensor:
    """Return the indices of the rows that score as much as the k-th best sample of their table.

    table, score, row: of rows that may be examples, tables numbered through all clusters. Of a
    sample that is in the batch more than once the first row is counted.
    """
    if len(activity.batch.keys) <= k:  # no table has more rows
        return torch.arange(len(table), device=table.device)
    # Floats are ordered like these integers: by table, and in it the best first.
    bits = (score + 0.0).view(torch.int32).long()  # no minus zero
    height = torch.where(bits < 0, bits ^ _ALL_BUT_SIGN, bits)
    key, order = ((table << 32) + (_ALL_BUT_SIGN - height)).sort()
    counts = send(_first_of_samples(activity.batch.keys), table.device)
    counted = bounds(counts[row[order]].long())
    # A row is beaten by the samples that stand before all rows that score as it does.
    better = counted[_begins(key)] - counted[_begins(key >> 32)]
    kept = torch.empty(len(key), dtype=torch.bool, device=key.device)
    kept[order] = better < k
    return kept.nonzero()[:, 0]


def _begins(ascending: Tensor) -> Tensor:
    """Return for each entry the index of the first that is equal to it."""
    place = torch.arange(len(ascending), device=ascending.device)
    new = torch.ones(len(ascending), dtype=torch.bool, device=ascending.device)
    new[1:] = ascending[1:] != ascending[:-1]
    return torch.where(new, place, 0).cummax(0).values


def _first_of_samples(keys: U8) -> Bool:
    """Return which rows are the first with their sample key, [row]; keys: [row, 16]."""
    _, first = np.unique(keys.view("V16")[:, 0], return_index=True)
    counts = np.zeros(len(keys), np.bool_)
    counts[first] = True
    return counts


def _on(least: F32, activity: DeviceActivity) -> Tensor:
    return send(np.ascontiguousarray(least).reshape(-1), activity.maximum.device)


def _to_host(table: Tensor, score: Tensor, token: Tensor) -> Candidates:
    bits = score.view(torch.int32).long()
    found = fetch(torch.stack([table, bits, token]))
    return Candidates(
        found[0].astype(np.uint32),
        found[1].astype(np.int32).view(np.float32),
        found[2].astype(np.int32),
    )
