"""The best samples of each cluster by sorting everything, with all rows of their members."""

from collections.abc import Sequence

import numpy as np

from consumers.storage.blocks import DenseBatch, Members
from consumers.storage.top_blocks import TopBlock

# Score, sample high, sample low, peak, partition, sequence, row; then the batch's number.
_Hit = tuple[float, int, int, int, int, int, int, int]
_KINDS = (
    ("score", np.float32),
    ("sample_high", np.uint64),
    ("sample_low", np.uint64),
    ("peak", np.int32),
    ("partition", np.int32),
    ("sequence", np.int64),
    ("row", np.int32),
)


def best_samples(batches: Sequence[DenseBatch], members: Members, k: int) -> list[TopBlock]:
    """Return, per cluster, the best hit of each of the k best samples, best first."""
    return [
        _block(batches, members, cluster, _best(batches, cluster, k))
        for cluster in range(len(members.first) - 1)
    ]


def _best(batches: Sequence[DenseBatch], cluster: int, k: int) -> list[_Hit]:
    hits: list[_Hit] = []
    for number, batch in enumerate(batches):
        for row, activity in enumerate(batch.clusters[cluster]):
            score = float(activity.max())
            if score > 0:
                peak = int(np.flatnonzero(activity == activity.max())[0])
                key = int(batch.sample_high[row]), int(batch.sample_low[row])
                place = batch.partition, batch.sequence, row
                hits.append((score, *key, peak, *place, number))
    kept: dict[tuple[int, int], _Hit] = {}
    for hit in sorted(hits, key=lambda hit: (-hit[0], *hit[1:7])):
        if len(kept) < k:
            kept.setdefault(hit[1:3], hit)
    return list(kept.values())


def _block(
    batches: Sequence[DenseBatch], members: Members, cluster: int, hits: Sequence[_Hit]
) -> TopBlock:
    component = members.component[members.first[cluster] : members.first[cluster + 1]]
    positions = batches[0].clusters.shape[2]
    rows = np.zeros((len(hits), 1 + len(component), positions), np.float32)
    for at, hit in enumerate(hits):
        batch, row = batches[hit[7]], hit[6]
        rows[at, 0] = batch.clusters[cluster, row]
        for member, number in enumerate(component):
            if batch.alive[number]:
                rows[at, 1 + member] = batch.components[number, row]
    columns = list(zip(*hits, strict=True)) or [()] * 8
    found = {name: np.array(c, kind) for (name, kind), c in zip(_KINDS, columns, strict=False)}
    return TopBlock(**found, rows=rows)
