"""The best samples that this worker has seen, and so which hits cannot matter any more.

A hit is sent unless k other samples beat it in the full order of score and sample key; equals pass,
and whether it was sent before is never asked. Every hit of the final tables is therefore sent,
whichever copy of its batch is counted.
"""

from dataclasses import dataclass, replace

import numpy as np

from streams.arrays import F32, U64, AnyArray, Bool
from streams.hits import Hits, best, join, no_hits, take, without_rows


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Ranks of the best samples per table, and the last place of each full table.

    score, high, low [table]: the k-th best sample; minus infinity while a table is not full.
    """

    k: int
    ranks: Hits
    score: F32
    high: U64
    low: U64


def new_standing(tables: int, k: int) -> Standing:
    """Return the standing of a worker that has seen nothing."""
    zeros = np.zeros(tables, np.uint64)
    return Standing(k, no_hits(), np.full(tables, -np.inf, np.float32), zeros, zeros)


def unbeaten(standing: Standing, hits: Hits) -> Bool:
    """Return which hits fewer than k known samples beat."""
    score, high, low = (
        column[hits.table] for column in (standing.score, standing.high, standing.low)
    )
    earlier = (hits.sample_high < high) | ((hits.sample_high == high) & (hits.sample_low <= low))
    passes: Bool = (hits.score > score) | ((hits.score == score) & earlier)
    return passes


def seen(standing: Standing, hits: Hits) -> Standing:
    """Return the standing after ``hits`` of a validated batch."""
    news = without_rows(take(hits, np.flatnonzero(unbeaten(standing, hits))))
    if not len(news):
        return standing
    touched = np.zeros(len(standing.score), dtype=bool)
    touched[news.table] = True
    old = touched[standing.ranks.table]
    merged = best(join([take(standing.ranks, np.flatnonzero(old)), news]), standing.k)
    last = _full(merged, standing.k)
    score, high, low = standing.score.copy(), standing.high.copy(), standing.low.copy()
    table = merged.table[last]
    score[table] = merged.score[last]
    high[table] = merged.sample_high[last]
    low[table] = merged.sample_low[last]
    ranks = join([take(standing.ranks, np.flatnonzero(~old)), merged])
    return replace(standing, ranks=ranks, score=score, high=high, low=low)


def _full(ranked: Hits, k: int) -> AnyArray:
    """Return the k-th entry of every table of a ranked set that has k."""
    begins = np.flatnonzero(np.r_[True, ranked.table[1:] != ranked.table[:-1]])
    sizes = np.diff(np.r_[begins, len(ranked)])
    full: AnyArray = begins[sizes >= k] + k - 1
    return full
