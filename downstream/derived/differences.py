"""What changed between two snapshots: numbers of clusters, and max-activating examples.

Clusters are matched by clustering, iteration and label, examples by ranking and sample key. So two
snapshots of one run can be compared, and runs of two models or dictionaries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.reading.snapshot import Snapshot
from streams.arrays import I64, Bool
from streams.snapshots.manifests import RunManifest
from streams.snapshots.tables import Column, TableForm

_KEY = ("clustering", "iteration", "label")
_NUMBERS = {
    "firing_tokens": (pa.int64(), "tokens"),
    "activation_density": (pa.float64(), "share of valid tokens"),
    "mean_activation": (pa.float64(), "activation"),
    "max_activation": (pa.float32(), "activation"),
}
_HIT = ("rank", "score", "partition", "sequence", "row")
_COMPARED = ("corpus", "model", "model_content", "context", "masked_ids", "masked_positions", "k")
_NAMED = (
    Column("clustering", pa.string(), "clustering"),
    Column("iteration", pa.int32(), "its iteration"),
    Column("label", pa.string(), "label of the cluster; the feature's index for a single feature"),
)

CLUSTER_DIFFERENCES = TableForm(
    "cluster_differences",
    "One row per cluster of either snapshot, A and B.",
    _KEY,
    (
        *_NAMED,
        Column("in_a", pa.bool_(), "A has it; else its numbers of A are 0"),
        Column("in_b", pa.bool_(), "B has it; else its numbers of B are 0"),
        Column("changed", pa.bool_(), "it is in one only, or a number or an example differs"),
        *(
            Column(f"{name}_{side.lower()}", kind, f"`{name}` in {side}", unit)
            for name, (kind, unit) in _NUMBERS.items()
            for side in "AB"
        ),
        Column("shared_examples", pa.int64(), "examples in both, over all common rankings"),
        Column("came", pa.int64(), "examples in B alone"),
        Column("went", pa.int64(), "examples in A alone"),
    ),
)

EXAMPLE_CHANGES = TableForm(
    "example_changes",
    "The max-activating examples that came or went, by ranking and rank.",
    (*_KEY, "ranking", "change", "rank"),
    (
        *_NAMED,
        Column("ranking", pa.string(), "what examples are ranked by"),
        Column("change", pa.string(), "`came`: in B alone, or `went`: in A alone"),
        Column("rank", pa.int32(), "its rank where it is"),
        Column("score", pa.float32(), "its score there", "activation"),
        Column("sample", pa.binary(16), "sample key"),
        Column("partition", pa.int32(), "place in the corpus of that snapshot: partition"),
        Column("sequence", pa.int64(), "place: batch in the partition"),
        Column("row", pa.int32(), "place: row in the batch"),
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """What changed. clusters, examples: tables of the forms above, in the order of their keys.

    notes: what makes the two differ beside the text read so far, a line each.
    """

    clusters: pa.Table
    examples: pa.Table
    notes: Sequence[str]

    @property
    def totals(self) -> dict[str, int]:
        """How many clusters and examples are in both, in one, and changed."""
        in_a, in_b, changed = (_flags(self.clusters, n) for n in ("in_a", "in_b", "changed"))
        counted = {n: int(pc.sum(self.clusters[n]).as_py() or 0) for n in _COUNTS}
        return {
            "in_both": int((in_a & in_b).sum()),
            "only_in_a": int((in_a & ~in_b).sum()),
            "only_in_b": int((in_b & ~in_a).sum()),
            "changed": int(changed.sum()),
            **counted,
        }

    def most_changed(self, k: int) -> list[dict[str, Any]]:
        """Return the k clusters that changed most, of those in both snapshots.

        First those of which the largest share of examples was replaced, then by the difference of
        their activation densities.
        """
        order = most_changed(self.clusters)
        found: list[dict[str, Any]] = self.clusters.take(pa.array(order[:k])).to_pylist()
        return found


def most_changed(clusters: pa.Table) -> I64:
    """Return the rows of ``cluster_differences`` that are in both and changed, the most first."""
    both = _flags(clusters, "in_a") & _flags(clusters, "in_b")
    shared, came, went = (clusters[name].to_numpy() for name in _COUNTS)
    replaced = (came + went) / np.maximum(shared + came + went, 1)
    density = [clusters[f"activation_density_{side}"].to_numpy() for side in "ab"]
    moved = np.abs(density[1] - density[0])
    changed = np.flatnonzero(both & _flags(clusters, "changed"))
    return changed[np.lexsort((changed, -moved[changed], -replaced[changed]))]


_COUNTS = ("shared_examples", "came", "went")


def compare(a: Snapshot, b: Snapshot) -> Differences:
    """Return what changed from A to B; raises SnapshotError if a table cannot be read."""
    clusters, numbers = _matched(a, b)
    rankings = [name for name in a.rankings if name in b.rankings]
    sides = [_hits(one, n, rankings) for one, n in zip((a, b), numbers, strict=True)]
    shared = _shared(*sides)
    counts = [np.bincount(shared["id"].to_numpy(), minlength=len(clusters))]
    changes = []
    for hits, change in ((sides[1], "came"), (sides[0], "went")):
        alone = hits.join(shared, ["id", "ranking", "sample"], join_type="left anti")
        counts.append(np.bincount(alone["id"].to_numpy(), minlength=len(clusters)))
        changes.append(alone.append_column("change", pa.array([change] * len(alone), pa.string())))
    for name, count in zip(_COUNTS, counts, strict=True):
        clusters = clusters.append_column(name, pa.array(count.astype(np.int64)))
    differs = _differ(clusters) | (counts[1] + counts[2] > 0)
    clusters = clusters.append_column("changed", pa.array(differs))
    return Differences(
        clusters.select(CLUSTER_DIFFERENCES.schema.names).cast(CLUSTER_DIFFERENCES.schema),
        _named(pa.concat_tables(changes), clusters),
        differing(a.manifest, b.manifest),
    )


def _matched(a: Snapshot, b: Snapshot) -> tuple[pa.Table, tuple[I64, I64]]:
    """Return the clusters of both, by their key, and the row of each cluster number in A and B."""
    sides = []
    for one, side in ((a, "a"), (b, "b")):
        arrow = one.clusters.arrow
        there = [name for name in _NUMBERS if name in arrow.column_names]
        table = arrow.select(["cluster", *_KEY, *there])
        for name, (kind, _) in _NUMBERS.items():
            if name not in there:
                table = table.append_column(name, pa.nulls(len(table), kind))
        renamed = {name: f"{name}_{side}" for name in ("cluster", *_NUMBERS)}
        sides.append(table.rename_columns([renamed.get(n, n) for n in table.column_names]))
    joined = sides[0].join(sides[1], list(_KEY), join_type="full outer")
    joined = joined.sort_by([(name, "ascending") for name in _KEY]).combine_chunks()
    rows = []
    for one, side in ((a, "a"), (b, "b")):
        numbers = joined[f"cluster_{side}"]
        joined = joined.append_column(f"in_{side}", pc.is_valid(numbers))
        at = np.full(len(one.clusters), -1, np.int64)
        there = pc.is_valid(numbers).to_numpy()
        at[numbers.drop_null().to_numpy()] = np.flatnonzero(there)
        rows.append(at)
    for name in joined.column_names:
        if name.rpartition("_")[0] in _NUMBERS:
            at = joined.column_names.index(name)
            joined = joined.set_column(at, name, pc.fill_null(joined[name], 0))
    return joined, (rows[0], rows[1])


def _hits(snapshot: Snapshot, rows: I64, rankings: Sequence[str]) -> pa.Table:
    """Return the examples of common rankings, with the matched row of their cluster as id."""
    columns = ["cluster", "ranking", "sample", *_HIT]
    hits = snapshot.table("hits", columns=columns).arrow
    hits = hits.filter(pc.is_in(hits["ranking"], pa.array(rankings, pa.string())))
    at = pa.array(rows[hits["cluster"].to_numpy()])
    sample = hits["sample"].cast(pa.binary())
    return pa.table({"id": at, "sample": sample, **{n: hits[n] for n in ("ranking", *_HIT)}})


def _shared(one: pa.Table, other: pa.Table) -> pa.Table:
    key = ["id", "ranking", "sample"]
    return one.select(key).join(other.select(key), key, join_type="left semi")


def _differ(clusters: pa.Table) -> Bool:
    """Return whether a cluster is in one only, or one of its numbers differs."""
    found: Bool = _flags(clusters, "in_a") != _flags(clusters, "in_b")
    for name in _NUMBERS:
        a, b = (clusters[f"{name}_{side}"].to_numpy() for side in "ab")
        found |= (a != b) & ~(np.isnan(a) & np.isnan(b))  # NaN of a foreign file is no change
    return found


def _named(changes: pa.Table, clusters: pa.Table) -> pa.Table:
    """Return the examples that came or went with the names of their clusters, in order."""
    at = changes["id"]
    columns: dict[str, Any] = {name: clusters[name].take(at) for name in _KEY}
    columns |= {name: changes[name] for name in ("ranking", "change", *_HIT)}
    columns["sample"] = changes["sample"].cast(pa.binary(16))
    table = pa.table({name: columns[name] for name in EXAMPLE_CHANGES.schema.names})
    order = [(name, "ascending") for name in EXAMPLE_CHANGES.key]
    return table.cast(EXAMPLE_CHANGES.schema).sort_by(order)


def differing(a: RunManifest, b: RunManifest) -> list[str]:
    """Return what makes two snapshots differ beside the text read so far, a line each."""
    found = []
    for name in _COMPARED:
        one, other = a.about.get(name), b.about.get(name)
        if one != other:
            found.append(f"{name} differs: {_short(one)}, {_short(other)}")
    contents = [
        {s["name"]: s.get("content") for s in each.about.get("sources", ())} for each in (a, b)
    ]
    for source in sorted(contents[0].keys() & contents[1].keys()):
        if contents[0][source] != contents[1][source]:
            found.append(f"source {source} is another one")
    for manifest, name in ((a, "A"), (b, "B")):
        if not manifest.final:
            found.append(f"{name} is not final")
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _flags(table: pa.Table, name: str) -> Bool:
    found: Bool = table[name].to_numpy(zero_copy_only=False)
    return found


def provenance(a: Snapshot, b: Snapshot, differences: Differences) -> Mapping[str, Any]:
    """Return what an attachment of differences says of itself."""
    sides = {
        side: {"run": s.run, "snapshot": s.name, "content": s.content, "identity": s.identity}
        for side, s in (("a", a), ("b", b))
    }
    return {**sides, "totals": differences.totals, "notes": list(differences.notes)}
