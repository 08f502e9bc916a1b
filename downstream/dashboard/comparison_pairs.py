"""Clusters of two clusterings that may stand for the same thing, with how alike they are.

The two may be of one snapshot, of two snapshots or of two runs. By shared examples and by label
they are paired from what is in memory; by decoder direction and by co-activation from attachments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from downstream.dashboard.columns import cluster_of_feature
from downstream.derived.coactivation import SAMPLED_COACTIVATION
from downstream.derived.neighbours import NEIGHBOURS
from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from streams.arrays import F64, I64, AnyArray
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import TableForm

_MOST_ALIKE = 256
"""Examples of B that peak at one token of one context; beyond that they tell nothing apart."""


@dataclass(frozen=True, slots=True)
class Part:
    """A clustering of a snapshot."""

    snapshot: LoadedSnapshot
    clustering: LoadedClustering

    @property
    def size(self) -> int:
        """How many clusters it has."""
        return self.clustering.stop - self.clustering.first

    @property
    def source(self) -> str:
        """The source whose single features it is, "" for none."""
        name = self.clustering.name
        return name.removeprefix("features/") if name.startswith("features/") else ""

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from any other."""
        return self.snapshot.manifest.content, self.clustering.first


@dataclass(frozen=True, eq=False)
class Pairs:
    """a [pair], b [pair]: numbers in their clusterings; score [pair], the more the more alike.

    note: what the scores are of.
    """

    a: I64
    b: I64
    score: F64
    note: str = ""

    def best(self, size: int, *, of_b: bool = False) -> tuple[I64, F64]:
        """Return the best partner [size] of each cluster of A (of B), -1 for none, and its score.

        Of equal scores the smaller number is better.
        """
        ours, theirs = (self.b, self.a) if of_b else (self.a, self.b)
        order = np.lexsort((-theirs, self.score))  # the last that is written stays
        partner, score = np.full(size, -1, np.int64), np.zeros(size)
        partner[ours[order]] = theirs[order]
        score[ours[order]] = self.score[order]
        return partner, score


def pairs_by_examples(one: Part, other: Part) -> Pairs:
    """Return pairs that share best examples: contexts of which both peak at the same token.

    The score is the Jaccard index of the two sets. A cluster is not its own pair.
    """
    mine, yours = _peaks_at(one, one), _peaks_at(other, one)
    # Both in the order of their keys: looking up one after the other stays in the same memory.
    mine, yours = (_by_key(each) for each in (mine, yours))
    cluster, key = yours
    left, right = (np.searchsorted(key, mine[1], side) for side in ("left", "right"))
    count = np.where(right - left <= _MOST_ALIKE, right - left, 0)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    a, b = np.repeat(mine[0], count), cluster[np.repeat(left, count) + within]
    if one.key == other.key:
        a, b = a[a != b], b[a != b]
    pair, shared = np.unique(a * other.size + b, return_counts=True)
    a, b = np.divmod(pair, max(other.size, 1))
    sizes = [np.bincount(each[0], minlength=part.size) for each, part in
             ((mine, one), (yours, other))]  # fmt: skip
    return Pairs(a, b, shared / (sizes[0][a] + sizes[1][b] - shared))


def pairs_by_label(one: Part, other: Part) -> Pairs:
    """Return clusters of the same label; the score is the Jaccard index of their best examples."""
    span = slice(other.clustering.first, other.clustering.stop)
    ours = slice(one.clustering.first, one.clustering.stop)
    labels = one.snapshot.labels[ours]
    at = pc.fill_null(pc.index_in(labels, value_set=other.snapshot.labels[span]), -1).to_numpy()
    a = np.flatnonzero(at >= 0)
    b = at[a].astype(np.int64)
    if one.key == other.key:
        return Pairs(a, b, np.ones(len(a)))
    partner = np.full(one.size, -1, np.int64)
    partner[a] = b
    mine, yours = _samples_of(one, one), _samples_of(other, one)
    most = max((int(each[1].max(initial=0)) for each in (mine, yours)), default=0) + 2
    paired = partner[mine[0]] >= 0
    codes = partner[mine[0]][paired] * most + mine[1][paired]
    found = np.isin(codes, yours[0] * most + yours[1])
    shared = np.bincount(mine[0][paired][found], minlength=one.size)[a]
    sizes = [np.bincount(each[0], minlength=part.size) for each, part in
             ((mine, one), (yours, other))]  # fmt: skip
    whole = sizes[0][a] + sizes[1][b] - shared
    return Pairs(a, b, np.where(whole > 0, shared / np.maximum(whole, 1), 1.0))


def pairs_by_decoder(one: Part, other: Part) -> Pairs | None:
    """Return the nearest decoder directions of other's features, by cosine; None if unknown."""
    if not one.source or not other.source:
        return None
    for attached in attachments_of(one.snapshot).now():
        name = _named_in(attached, one, other) if attached.kind == "neighbours" else ""
        if name:
            wanted = [("direction", "==", "decoder"), ("other_source", "==", name)]
            rows = _rows(attached, NEIGHBOURS, wanted)
            of_feature = cluster_of_feature(one.snapshot, rows["feature"].to_numpy())
            lists = rows["other_indices"].combine_chunks()
            b = lists.flatten().to_numpy().astype(np.int64)
            cosine = rows["cosines"].combine_chunks().flatten().to_numpy().astype(np.float64)
            a = np.repeat(of_feature, pc.list_value_length(lists).to_numpy())
            return _inside(Pairs(a - one.clustering.first, b, cosine), one, other)
    return None


def pairs_by_coactivation(one: Part, other: Part) -> Pairs | None:
    """Return clusters of one run that are active at the same tokens, by Jaccard index.

    None where nobody looked.
    """
    if one.snapshot is not other.snapshot:
        return None
    for attached in attachments_of(one.snapshot).now():
        if attached.kind == "coactivation":
            wanted = [("other_clustering", "==", other.clustering.name)]
            rows = _rows(attached, SAMPLED_COACTIVATION, wanted)
            a, b = (rows[name].to_numpy().astype(np.int64) for name in ("cluster", "other"))
            score = rows["jaccard"].to_numpy()
            pairs = Pairs(a - one.clustering.first, b - other.clustering.first, score)
            return _inside(pairs, one, other)
    return None


def _by_key(examples: tuple[I64, I64]) -> tuple[I64, I64]:
    order = np.argsort(examples[1], kind="stable")
    return examples[0][order], examples[1][order]


def _peaks_at(part: Part, first: Part) -> tuple[I64, I64]:
    """Return cluster and (sample, token at the peak), as one number, of a part's examples."""
    cluster, sample, token = _examples(part, first)
    return cluster, sample * (2**22) + token


def _samples_of(part: Part, first: Part) -> tuple[I64, I64]:
    return _examples(part, first)[:2]


def _examples(part: Part, first: Part) -> tuple[I64, I64, I64]:
    """Return cluster, sample and token at the peak of a part's best examples.

    Samples are numbered as in the snapshot of ``first``; those that it lacks come after.
    """
    index, here = part.snapshot.examples, part.clustering
    span = slice(int(index.first[here.first]), int(index.first[here.stop]))
    cluster = index.cluster[span].astype(np.int64) - here.first
    sample, token = index.sample[span].astype(np.int64), index.token[span].astype(np.int64)
    if part.snapshot is not first.snapshot:
        known = first.snapshot.text.keys
        place = pc.index_in(part.snapshot.text.keys, value_set=known)
        there = pc.fill_null(place, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        unknown = len(known) + np.arange(len(there))
        sample = np.where(there >= 0, there, unknown)[sample]
    return cluster, sample, token


def _named_in(attached: AttachmentManifest, one: Part, other: Part) -> str:
    """Return what an attachment of neighbours calls the other source, "" if it has it not.

    A dictionary of another run is known by the hash of its decoder; else by the name that it was
    given, if that is the run's or the source's.
    """
    listed = _dictionaries(attached)
    if one.snapshot is other.snapshot:
        return other.source if other.source in listed else ""
    hashes = {
        each[other.source].get("decoder_sha256")
        for mine in attachments_of(other.snapshot).now()
        if other.source in (each := {"": {}, **_dictionaries(mine)})
    }
    own = {str(source.get("name")) for source in one.snapshot.about.get("sources", ())}
    names = [name for name in listed if name not in own]
    by_hash = [n for n in names if listed[n].get("decoder_sha256") in hashes - {None}]
    by_name = [n for n in names if n in (other.snapshot.manifest.run, other.source)]
    return next(iter([*by_hash, *by_name]), "")


def _dictionaries(attached: AttachmentManifest) -> dict[str, Mapping[str, Any]]:
    """Return what an attachment says of the dictionaries that it was made from, by their name."""
    listed = attached.provenance.get("dictionaries", ())
    if not isinstance(listed, list):
        return {}
    return {str(each.get("source")): each for each in listed if isinstance(each, dict)}


def _rows(attached: AttachmentManifest, form: TableForm, filters: Any) -> Any:
    entry = find_entry(attached.tables, form.name)
    if entry is None or not entry.schema.equals(form.schema):
        raise SnapshotError(f"it has no table {form.name!r} of the form that this program knows")
    return read_table(attached, form.name, filters=filters)


def _inside(pairs: Pairs, one: Part, other: Part) -> Pairs:
    """Return the pairs whose clusters are there, none with itself."""
    keep: AnyArray = (pairs.a >= 0) & (pairs.a < one.size) & np.isfinite(pairs.score)
    keep &= (pairs.b >= 0) & (pairs.b < other.size)
    if one.key == other.key:
        keep &= pairs.a != pairs.b
    return Pairs(pairs.a[keep], pairs.b[keep], pairs.score[keep])
