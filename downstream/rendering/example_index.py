"""What is known of all examples at once: each cluster's best, and at which token each one peaks.

Made when a snapshot is opened, from one reading of its hits. It holds the run's first ranking, of
which at most ``MOST`` examples per cluster.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.rendering.row_groups import RowGroups, read_row_groups
from downstream.rendering.stored_text import StoredText
from streams.arrays import I32, I64
from streams.snapshots.about import ranking_names
from streams.snapshots.manifests import RunManifest

MOST = 50
_COLUMNS = (
    "cluster", "ranking", "rank", "score", "peak", "partition", "sequence", "row", "positions",
    "activations",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ExampleIndex:
    """Examples in the order of their clusters: those of c are first[c] to first[c + 1] - 1.

    sample, token: per example, its sample and the id of the token at its peak. best: the best
    example of each cluster that has one, with its positions and activations; best_of: which row of
    it is a cluster's, or -1. groups: where the rest of the examples is read.
    """

    first: I64
    cluster: I32
    sample: I32
    token: I32
    best: pa.Table
    best_of: I64
    groups: RowGroups

    def peak_tokens(self, cluster: int, most: int = 3) -> list[tuple[int, int]]:
        """Return the tokens at which most of a cluster's examples peak, and how many do."""
        found = self.token[self.first[cluster] : self.first[cluster + 1]].tolist()
        if len(set(found)) == len(found):
            return [(token, 1) for token in found[:most]]
        return Counter(found).most_common(most)


def read_example_index(manifest: RunManifest, text: StoredText, clusters: int) -> ExampleIndex:
    """Read the hits of a snapshot; raises SnapshotError, or ValueError if they make no sense."""
    kept: list[tuple[I32, ...]] = []
    best: list[pa.Table] = []
    ranking = ranking_names(manifest.about)[0]

    def seen(rows: pa.Table) -> None:
        rank = rows["rank"].to_numpy()
        named = pc.equal(rows["ranking"], ranking).to_numpy()
        ours = named.astype(bool) & (rank < MOST)
        number: Any = {n: rows[n].to_numpy()[ours] for n in _COLUMNS[:-2] if n != "ranking"}
        places = np.stack([number[n] for n in ("partition", "sequence", "row")], axis=1)
        sample = text.places.find(places)
        peak = number["peak"].astype(np.int64)
        if len(sample):
            _check(number["cluster"], sample, peak, text, clusters)
        token = text.ids[text.first[sample] + peak]
        kept.append(tuple(each.astype(np.int32) for each in (number["cluster"], sample, token)))
        first = ours & (rank == 0)
        chosen = rows.filter(pa.array(first)).select(
            ["cluster", "rank", "score", "peak", "positions", "activations"]
        )
        best.append(chosen.append_column("number", pa.array(sample[number["rank"] == 0])))

    groups = read_row_groups(manifest, "hits", _COLUMNS, seen)
    columns = [np.concatenate([np.zeros(0, np.int32), *one]) for one in zip(*kept, strict=True)]
    cluster, sample, token = columns or [np.zeros(0, np.int32)] * 3
    order = np.argsort(cluster, kind="stable")
    firsts = pa.concat_tables(best) if best else _no_best()
    return ExampleIndex(
        first=np.r_[0, np.cumsum(np.bincount(cluster, minlength=clusters))],
        cluster=cluster[order],
        sample=sample[order],
        token=token[order],
        best=firsts.combine_chunks(),
        best_of=_rows_of(firsts["cluster"].to_numpy(), clusters),
        groups=groups,
    )


def _check(cluster: I64, sample: I64, peak: I64, text: StoredText, clusters: int) -> None:
    if sample.min() < 0:
        raise ValueError("it lacks the text of an example")
    if cluster.min() < 0 or cluster.max() >= clusters:
        raise ValueError("it has examples of clusters that it does not have")
    if peak.min() < 0 or (peak >= text.first[sample + 1] - text.first[sample]).any():
        raise ValueError("it has examples whose peak lies outside their text")


def _no_best() -> pa.Table:
    kinds = {"cluster": pa.int32(), "rank": pa.int32(), "score": pa.float32(), "peak": pa.int32()}
    lists = {"positions": pa.list_(pa.int32()), "activations": pa.list_(pa.float32())}
    return pa.schema({**kinds, **lists, "number": pa.int64()}).empty_table()


def _rows_of(cluster: I64, clusters: int) -> I64:
    found = np.full(clusters, -1, np.int64)
    found[cluster] = np.arange(len(cluster))
    return found
