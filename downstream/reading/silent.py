"""Verified silent contexts: rows in which a cluster is certainly active nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from downstream.reading.examples import (
    Example,
    ExampleSource,
    Place,
    join_examples,
    place_of,
    read_samples,
)
from streams.arrays import I64
from streams.errors import SnapshotError
from streams.snapshots.about import ranking_names
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table

RANKING = "shared"
_COLUMNS = ("cluster", "sample", "partition", "sequence", "row")
_LISTS = (
    "positions", "activations", "member_indices", "member_positions", "member_activations",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SharedRows:
    """Samples that some cluster lists by the ranking ``shared``, numbered by rising key.

    k: rows that a full table has. cluster, number: one entry per row of a table. places [number,
    3], keys [number, 16 bytes]: partition, sequence and row, and the key, of each sample.
    """

    k: int
    cluster: I64
    number: I64
    places: I64
    keys: "np.ndarray[Any, np.dtype[np.uint8]]"

    def silent(self, cluster: int) -> I64:
        """Return the numbers of the samples in which a cluster is certainly active nowhere.

        A full table has all of its rows up to its last one, another has all there are.
        """
        own = self.number[self.cluster == cluster]
        known = int(own.max()) if len(own) >= self.k else len(self.places)
        return np.setdiff1d(np.arange(known), own)


def read_shared_rows(manifest: RunManifest) -> SharedRows:
    """Return the rows of a snapshot; raises SnapshotError if it cannot say what is silent."""
    if RANKING not in ranking_names(manifest.about):
        raise SnapshotError(
            f"shared rows need the ranking {RANKING!r}; run {manifest.run!r} does not have it"
        )
    if not manifest.final:
        raise SnapshotError(
            f"snapshot {manifest.snapshot!r} is not final: its tables may lack rows"
        )
    filters = [("ranking", "==", RANKING)]
    hits = read_table(manifest, "hits", columns=_COLUMNS, filters=filters).combine_chunks()
    keys = np.frombuffer(b"".join(hits["sample"].to_pylist()), np.uint8).reshape(-1, 16)
    words = np.ascontiguousarray(keys).view(">u8")
    order = np.lexsort((words[:, 1], words[:, 0]))
    begins = (words[order][1:] != words[order][:-1]).any(axis=1)
    number = np.empty(len(order), np.int64)
    number[order] = np.r_[0, np.cumsum(begins)][: len(order)]
    first = order[np.r_[True, begins][: len(order)]]
    places = np.stack([hits[name].to_numpy()[first] for name in _COLUMNS[2:]], axis=1)
    cluster = hits["cluster"].to_numpy().astype(np.int64)
    return SharedRows(_k(manifest.about), cluster, number, places.astype(np.int64), keys[first])


def silent_examples(
    snapshot: ExampleSource, cluster: int, rows: SharedRows, numbers: I64
) -> list[Example]:
    """Return the samples of these numbers as examples of a cluster that is active in none."""
    hits = silent_hits(cluster, rows, numbers)
    samples = read_samples(snapshot, sorted(place_of(hit) for hit in hits))
    return list(join_examples(snapshot, hits, samples))


def silent_hits(cluster: int, rows: SharedRows, numbers: I64) -> list[dict[str, Any]]:
    """Return the samples of these numbers as hits of a cluster that is active in none."""
    places: list[Place] = [(p, s, r) for p, s, r in rows.places[numbers].tolist()]
    empty: dict[str, list[Any]] = {name: [] for name in _LISTS}
    return [
        {
            "cluster": cluster,
            "ranking": "silent",
            "rank": rank,
            "score": 0.0,
            "peak": -1,
            "sample": rows.keys[number].tobytes(),
            **dict(zip(_COLUMNS[2:], place, strict=True)),
            **empty,
        }
        for rank, (number, place) in enumerate(zip(numbers.tolist(), places, strict=True))
    ]


def _k(about: Mapping[str, Any]) -> int:
    for name, said in about.get("rankings", {}).items():
        if name.partition("@")[0] == RANKING and "k" in said:
            return int(said["k"])
    raise SnapshotError(f"the manifest does not say how many rows the ranking {RANKING!r} has")
