"""Where the best examples of all clusters peak: the token there and the one before it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from downstream.reading.examples import Place
from downstream.reading.snapshot import Snapshot
from streams.arrays import F64, I64
from streams.snapshots.table_reading import read_table

_PLACE = ("partition", "sequence", "row")
EXAMPLES = 20


@dataclass(frozen=True, eq=False)
class PeakTokens:
    """One entry per example, the best ``EXAMPLES`` of each cluster by the run's first ranking.

    cluster: whose. score: what the ranking shows. token: the id at the peak. before: the id in
    front of it, -1 at the start of a row.
    """

    cluster: I64
    score: F64
    token: I64
    before: I64


def read_peak_tokens(snapshot: Snapshot) -> PeakTokens:
    """Return the peaks of a snapshot's examples, read at once."""
    filters = [("ranking", "==", snapshot.rankings[0]), ("rank", "<", EXAMPLES)]
    columns = ("cluster", "rank", "score", "peak", *_PLACE)
    hits = read_table(snapshot.manifest, "hits", columns=columns, filters=filters)
    hits = hits.sort_by([("cluster", "ascending"), ("rank", "ascending")])
    samples = read_table(snapshot.manifest, "samples", columns=(*_PLACE, "ids")).combine_chunks()
    at = {place: number for number, place in enumerate(_places(samples))}
    row = np.array([at[place] for place in _places(hits)], np.int64)
    lists = samples["ids"].combine_chunks()
    first, ids = lists.offsets.to_numpy().astype(np.int64), lists.values.to_numpy()
    start = first[row] if len(row) else np.zeros(0, np.int64)
    peak = hits["peak"].to_numpy().astype(np.int64)
    whole = np.r_[ids.astype(np.int64), -1]
    return PeakTokens(
        cluster=hits["cluster"].to_numpy().astype(np.int64),
        score=hits["score"].to_numpy().astype(np.float64),
        token=whole[start + peak],
        before=whole[np.where(peak > 0, start + peak - 1, -1)],
    )


def _places(table: pa.Table) -> Iterator[Place]:
    return zip(*(table[name].to_pylist() for name in _PLACE), strict=True)
