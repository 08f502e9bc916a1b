"""A snapshot to read from: its tables, features, clusters, attachments, as they are asked for."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from html import escape
from os import PathLike, fspath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.reading.cluster import Cluster
from downstream.reading.examples import Examples
from downstream.reading.health import health_of
from downstream.reading.kept import KeptActivations, kept_activations
from downstream.reading.locating import locate
from downstream.reading.silent import SharedRows, read_shared_rows
from downstream.reading.table import Table
from downstream.reading.token_associations import features_of_token
from downstream.reading.vocabulary import DecodedVocabulary, read_vocabulary
from streams.errors import SnapshotError
from streams.snapshots.about import ranking_names
from streams.snapshots.annotations import Annotations, read_annotations
from streams.snapshots.attachments import AttachmentManifest, list_attachments
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store
from streams.snapshots.table_entry import TableEntry, column_entry, find_entry
from streams.snapshots.table_hashes import verify
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import CLUSTERS, FEATURES

if TYPE_CHECKING:
    from downstream.reading.shared_firings import SharedFirings

_SINGLES = "features/"
_BESIDE_FEATURES = (
    "cluster",
    "firing_rows",
    "mean_activation",
    "min_activation",
    "max_activation",
    "activation_histogram",
)


def open_snapshot(
    address: "str | PathLike[str]", run: str | None = None, snapshot: str | None = None
) -> "Snapshot":
    """Return a snapshot to read from; see ``millrace.open``."""
    return Snapshot(locate(fspath(address), run, snapshot))


class Snapshot:
    """One snapshot. Tables are read when they are first asked for; nothing is written."""

    def __init__(self, manifest: RunManifest) -> None:
        self.manifest = manifest

    @property
    def run(self) -> str:
        """The run's name."""
        return self.manifest.run

    @property
    def name(self) -> str:
        """The snapshot's name; ``final`` is the last of a run."""
        return self.manifest.snapshot

    @property
    def content(self) -> str:
        """The content hash: equal for equal rows in every table that the run names."""
        return self.manifest.content

    @property
    def identity(self) -> str:
        """The hash of what decides the run's numbers."""
        return self.manifest.identity

    @property
    def about(self) -> Mapping[str, Any]:
        """The run for people: model, sources, clusterings, statistics, rankings, masks."""
        return MappingProxyType(self.manifest.about)

    @property
    def rankings(self) -> list[str]:
        """What examples are ranked by."""
        return ranking_names(self.manifest.about)

    @property
    def tables(self) -> dict[str, TableEntry]:
        """The tables there are, attachments' among them, with their columns and meaning."""
        own = {entry.name: entry for entry in self.manifest.tables}
        for attachment in self.attachments:
            for entry in attachment.tables:
                own.setdefault(entry.name, entry)
        return own

    def table(
        self, name: str, *, columns: Iterable[str] | None = None, filters: Any = None
    ) -> Table:
        """Return a table by its name: the snapshot's, or that of an attachment.

        filters: as pyarrow takes them, ``[("cluster", "==", 88)]``. Raises SnapshotError if there
        is no such table, or if several attachments have one: then ask the attachment.
        """
        if find_entry(self.manifest.tables, name) is not None:
            return _read(self.manifest, name, columns, filters)
        holders = [one for one in self.attachments if find_entry(one.tables, name) is not None]
        if not holders:
            known = ", ".join(self.tables)
            raise SnapshotError(f"there is no table {name!r} (there are: {known})")
        if len(holders) > 1:
            named = ", ".join(f"{one.kind}/{one.name}" for one in holders)
            raise SnapshotError(f"several attachments have a table {name!r}: ask one of {named}")
        return _read(holders[0], name, columns, filters)

    @property
    def attachments(self) -> tuple[AttachmentManifest, ...]:
        """What was made from this snapshot or from the weights, as it is listed now."""
        store = open_store(self.manifest.store)
        return list_attachments(store, self.run, self.content)

    def attachment(self, kind: str, name: str = "default") -> "dict[str, Table]":
        """Return the tables of one attachment; raises SnapshotError, naming those there are."""
        for one in self.attachments:
            if (one.kind, one.name) == (kind, name):
                return {entry.name: _read(one, entry.name, None, None) for entry in one.tables}
        known = ", ".join(f"{one.kind}/{one.name}" for one in self.attachments) or "none"
        raise SnapshotError(f"there is no attachment {kind}/{name} (there are: {known})")

    @property
    def annotations(self) -> Annotations:
        """What people wrote about clusters of the run: labels, stars, notes; as it is now."""
        return read_annotations(open_store(self.manifest.store), self.run)

    @cached_property
    def clusters(self) -> Table:
        """All clusters, in the order of their numbers; single features among them."""
        return _read(self.manifest, CLUSTERS.name, None, None)

    @cached_property
    def features(self) -> Table:
        """All features of all sources, with the numbers of their clusters of one.

        Where a source's features are not watched alone, those numbers are null.
        """
        features = _read(self.manifest, FEATURES.name, None, None).arrow
        number = self._cluster_of(features)
        at = pa.array(number, mask=number < 0)
        clusters = self.clusters.arrow
        for name in _BESIDE_FEATURES:
            if name in clusters.column_names:
                features = features.append_column(name, clusters[name].take(at))
        beside = (c for c in CLUSTERS.columns if c.name in _BESIDE_FEATURES)
        return Table("features", features, [*map(column_entry, (*FEATURES.columns, *beside))])

    def _cluster_of(self, features: pa.Table) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Return the cluster of one of each feature, -1 where it has none."""
        names = self.clusters.arrow["clustering"].combine_chunks()
        first = {}
        for source in pc.unique(features["source"]).to_pylist():
            first[source] = int(pc.index(names, pa.scalar(f"{_SINGLES}{source}")).as_py())
        starts = np.array([first[s] for s in features["source"].to_pylist()], np.int64)
        index: Any = features["index"].to_numpy()
        return np.where(starts < 0, -1, starts + index)

    def cluster(self, label: str, clustering: str | None = None, iteration: int = 0) -> Cluster:
        """Return a cluster by its label; a clustering is needed where a run has several.

        Raises SnapshotError, naming the clusterings there are.
        """
        names = [str(each["name"]) for each in self.manifest.about.get("clusterings", ())]
        if clustering is None and len(set(names)) == 1:
            clustering = names[0]
        if clustering is None:
            every = pc.unique(self.clusters.arrow["clustering"]).to_pylist()
            raise SnapshotError(f"say which clustering, one of {', '.join(every)}")
        return self._one(clustering, iteration, label)

    def feature(self, feature: "int | str", source: str | None = None) -> Cluster:
        """Return a feature as a cluster of one: ``feature("sae:88")``, or by its index.

        source: needed with an index where the run has several. Raises SnapshotError.
        """
        text = str(feature)
        named, colon, index = text.rpartition(":")
        if not colon:
            sources = [str(each["name"]) for each in self.manifest.about.get("sources", ())]
            if source is None and len(sources) != 1:
                raise SnapshotError(f"say which source, one of {', '.join(sources)}")
            named = source or sources[0]
        return self._one(f"{_SINGLES}{named}", 0, index)

    def _one(self, clustering: str, iteration: int, label: str) -> Cluster:
        clusters = self.clusters.arrow
        wanted = pc.and_(
            pc.and_(
                pc.equal(clusters["clustering"], clustering),
                pc.equal(clusters["iteration"], iteration),
            ),
            pc.equal(clusters["label"], label),
        )
        found = clusters.filter(wanted).to_pylist()
        if not found:
            raise SnapshotError(f"there is no {label!r} in {clustering}, iteration {iteration}")
        return Cluster(self, found[0])

    def examples(self, feature: "int | str", ranking: str | None = None, k: int = 20) -> Examples:
        """Return the ``k`` best max-activating examples of a feature by a ranking.

        See ``feature`` and ``Cluster.examples``.
        """
        return self.feature(feature).examples(ranking, k)

    @cached_property
    def shared_rows(self) -> SharedRows:
        """The rows that the ranking ``shared`` chose, from which silent contexts are known."""
        return read_shared_rows(self.manifest)

    def token_features(self, token: int, k: int = 20) -> Table:
        """Return the ``k`` features and clusters most likely active at a token, by its id.

        Columns: cluster, clustering, label, and those of ``TokenAssociations.measures``. Raises
        SnapshotError unless the run has the statistic ``tokens``.
        """
        return features_of_token(self.manifest, self.clusters, token, k)

    def token_text(self, token: int) -> str:
        """Return what a token reads by itself, by its id."""
        return self._vocabulary.token_text(token)

    @cached_property
    def shared_firings(self) -> "SharedFirings":
        """Where clusters are active in the shared rows, from which co-activation is known."""
        from downstream.reading.shared_firings import read_shared_firings  # SciPy, which takes time

        return read_shared_firings(self.manifest)

    def hard_silent_contexts(self, feature: "int | str", n: int = 20) -> Examples:
        """Return ``n`` contexts in which a feature is certainly active nowhere, the hardest first.

        See ``feature`` and ``Cluster.silent``.
        """
        return self.feature(feature).silent(n, hard=True)

    @cached_property
    def health(self) -> list[dict[str, Any]]:
        """L0, dead features and, where the run measured them, losses of each source.

        See ``downstream.reading.health.health_of``.
        """
        return health_of(self.manifest)

    @cached_property
    def activations(self) -> KeptActivations:
        """Every activation by cluster and place, of a run that kept them; else SnapshotError."""
        return kept_activations(self.manifest)

    def members(self, cluster: int) -> Sequence[str]:
        """Return the features of a cluster, ``source:index``, by its number."""
        return tuple(self.clusters.arrow["members"][cluster].as_py())

    def max_activation(self, cluster: int) -> float:
        """Return a cluster's largest activation, by its number."""
        return float(self.clusters.arrow["max_activation"][cluster].as_py())

    def row_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Return what each token of a row shows, as the tokenizer decodes the row.

        An id beyond the vocabulary reads ``⟨id 7⟩``.
        """
        return self._vocabulary.row_bytes(ids)

    @cached_property
    def _vocabulary(self) -> DecodedVocabulary:
        return read_vocabulary(self.manifest)

    def verify(self) -> str:
        """Return the content hash, computed from the files, whose checksums are compared.

        Raises SnapshotError if a file, a table or the content is not what the manifest says.
        """
        return verify(self.manifest)

    def __repr__(self) -> str:
        return f"<snapshot {self.name} of run {self.run}, content {self.content[:12]}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(t.name)}</td><td>{t.rows:,}</td><td>{escape(t.description)}</td></tr>"
            for t in self.tables.values()
        )
        return f"<p>{escape(repr(self))}</p><table>{rows}</table>"


def _read(listed: Any, name: str, columns: Iterable[str] | None, filters: Any) -> Table:
    entry = find_entry(listed.tables, name)
    arrow = read_table(listed, name, columns=columns, filters=filters)
    return Table(name, arrow, entry.columns if entry else ())
