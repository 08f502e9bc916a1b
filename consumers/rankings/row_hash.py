"""Hashes of (sample, cluster) that choose rows at random, the same in every run and order."""

import hashlib
from functools import lru_cache

import numpy as np

from consumers.compiled import compiled
from consumers.rankings.ranking import PlainRow
from consumers.run_clusters import RunClusters
from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32, I32, U32, U64, AnyArray

FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_FIRST, _SECOND = map(np.uint64, FACTORS)
_ALL = 2**64 - 1


def cluster_seed(clustering: str, iteration: int, label: str) -> int:
    """Return the 64-bit number that stands for a cluster: other clusters show other rows."""
    text = f"{len(clustering)} {clustering} {iteration} {label}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@lru_cache(maxsize=2)  # a process has the run's clusters and those of its warm-up
def cluster_seeds(clusters: RunClusters) -> U64:
    """Return the seed of each cluster."""
    found = [
        cluster_seed(one.name, one.iteration, label)
        for one in clusters.clusterings
        for label in one.labels
    ]
    return np.array(found, np.uint64)


def priorities(activity: ClusterActivity) -> F32:
    """Return a score per cluster and row, minus a hash, so that the smallest hash comes first.

    Near 0, where the first ones are, float32 has the finest steps.
    """
    rows = activity.rows
    keys = np.ascontiguousarray(activity.batch.keys).view(">u8").astype(np.uint64)
    scores = np.empty(len(rows), np.float32)
    seeds = cluster_seeds(activity.clusters)
    _priorities(keys[:, 0], keys[:, 1], rows.row, seeds, rows.cluster, scores)
    return scores


def plain_priority(row: PlainRow) -> float:
    """Return the same of one row."""
    high, low = int.from_bytes(row.sample[:8], "big"), int.from_bytes(row.sample[8:], "big")
    mixed = _plain_mix(_plain_mix(low ^ cluster_seed(*row.cluster)) ^ high)
    return float(-np.float32(mixed >> 11))


def _plain_mix(number: int) -> int:
    """Return splitmix64's finaliser (Steele, Lea and Flood 2014, constants of variant 13)."""
    number = ((number ^ (number >> 30)) * FACTORS[0]) & _ALL
    number = ((number ^ (number >> 27)) * FACTORS[1]) & _ALL
    return number ^ (number >> 31)


@compiled
def _mix(number: np.uint64) -> np.uint64:
    number = (number ^ (number >> np.uint64(30))) * _FIRST
    number = (number ^ (number >> np.uint64(27))) * _SECOND
    return number ^ (number >> np.uint64(31))


@compiled
def _priorities(high: U64, low: U64, row: I32, seed: U64, cluster: U32, scores: AnyArray) -> None:
    for i in range(len(scores)):
        mixed = _mix(_mix(low[row[i]] ^ seed[cluster[i]]) ^ high[row[i]])
        # 53 bits, which float64 holds exactly: rounded once.
        scores[i] = -np.float32(np.float64(mixed >> np.uint64(11)))
