"""One cluster of a snapshot, or a single feature, which is a cluster of one."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.reading.bands import RANKING as INTERVALS
from downstream.reading.bands import Band, bands_of
from downstream.reading.examples import Examples, fold_examples, read_examples
from downstream.reading.silent import silent_examples
from downstream.reading.table import Table
from downstream.reading.token_associations import read_token_associations
from streams.arrays import I64
from streams.errors import SnapshotError

if TYPE_CHECKING:
    from downstream.reading.snapshot import Snapshot

_AMONG, _PEAKS, _NEAR, _ALL = 1000, 20, 20, 2**31 - 1


class Cluster:
    """A cluster: its numbers by name (``cluster["max_activation"]``), and what is read of it."""

    def __init__(self, snapshot: "Snapshot", row: Mapping[str, Any]) -> None:
        self._snapshot = snapshot
        self.numbers: Mapping[str, Any] = dict(row)

    @property
    def number(self) -> int:
        """Its number in the run."""
        return int(self.numbers["cluster"])

    @property
    def clustering(self) -> str:
        """Its clustering; ``features/<source>`` for a single feature."""
        return str(self.numbers["clustering"])

    @property
    def iteration(self) -> int:
        """The iteration of its clustering."""
        return int(self.numbers["iteration"])

    @property
    def label(self) -> str:
        """Its label in the clustering."""
        return str(self.numbers["label"])

    @property
    def members(self) -> Sequence[str]:
        """Its features, ``source:index``."""
        return tuple(self.numbers["members"])

    def __getitem__(self, column: str) -> Any:
        if column not in self.numbers:
            raise SnapshotError(f"there is no number {column!r} of a cluster")
        return self.numbers[column]

    def examples(
        self,
        ranking: str | None = None,
        k: int = 20,
        *,
        fold: bool = False,
        domain: str | None = None,
    ) -> Examples:
        """Return the ``k`` best max-activating examples by a ranking, by default the run's first.

        fold: without near-duplicates of better ones, out of all that the table has; ``duplicates``
        of each says how many it stands for. domain: only those of it. Raises SnapshotError for a
        ranking that the run does not have.
        """
        known = self._snapshot.rankings
        chosen = known[0] if ranking is None else ranking
        if chosen not in known:
            raise SnapshotError(f"there is no ranking {chosen!r} (there are: {', '.join(known)})")
        if fold or domain is not None:
            every = read_examples(self._snapshot, [self.number], chosen, _ALL)
            ours = [each for each in every if domain in (None, each.domain)]
            return Examples((fold_examples(ours) if fold else ours)[:k])
        return Examples(read_examples(self._snapshot, [self.number], chosen, k))

    def bands(self, count: int = 5, k: int = 5) -> list[Band]:
        """Return bands of activation, the highest first, with ``k`` examples of each.

        See ``bands.Band``. Raises SnapshotError unless the run has the ranking ``intervals``.
        """
        every = self.examples(INTERVALS, _ALL)
        highest = float(self.numbers["max_activation"])
        return bands_of(every, self._snapshot.about["edges"], highest, count, k)

    def silent(self, k: int = 20, *, hard: bool = False) -> Examples:
        """Return ``k`` contexts in which it is certainly active nowhere, chosen by sample key.

        hard: those first, out of up to 1,000, that hold most of the tokens at which its best
        examples peak and in which most of the 20 clusters are active that co-activate with it most.
        Nothing of its own is active in them: their score is 0, their peak -1. Raises SnapshotError
        unless the run has the ranking ``shared`` and the snapshot is final.
        """
        rows = self._snapshot.shared_rows
        numbers = rows.silent(self.number)[: _AMONG if hard else k]
        found = silent_examples(self._snapshot, self.number, rows, numbers)
        if hard:
            best = self.examples(k=_PEAKS)
            tokens = {each.token_ids[each.peak] for each in best}
            near = self._coactive_rows()[numbers].tolist()
            hardness = {
                each.sample: len(tokens.intersection(each.token_ids)) + active
                for each, active in zip(found, near, strict=True)
            }
            found.sort(key=lambda each: -hardness[each.sample])
        return Examples(found[:k])

    def _clustering_span(self) -> slice:
        """Return the numbers of the clusters of its clustering, which follow one another."""
        keys = self._snapshot.clusters.arrow.select(["clustering", "iteration"])
        own = (pc.equal(keys[n], keys[n][self.number]) for n in keys.column_names)
        at = np.flatnonzero(pc.and_(*own).to_numpy())
        return slice(int(at[0]), int(at[-1]) + 1)

    def _coactive_rows(self) -> I64:
        """Return how many of the clusters that co-activate with it most are active, by row."""
        firings, number = self._snapshot.shared_firings, self.number
        own = slice(number, number + 1)
        best = firings.pairs(own, self._clustering_span()).best(_NEAR)
        rows = firings.rows
        return np.bincount(rows.number[np.isin(rows.cluster, best.b)], minlength=len(rows.places))

    def tokens(self, k: int = 20) -> Table:
        """Return the ``k`` tokens at which it is active most often, in the rows looked at.

        Columns: token, text, and those of ``TokenAssociations.measures``. Raises SnapshotError
        unless the run has the statistic ``tokens``.
        """
        ours = [("cluster", "==", self.number)]
        found = read_token_associations(self._snapshot.manifest, ours)
        at = found.of_cluster(self.number)[:k]
        texts = [self._snapshot.token_text(token) for token in found.token[at].tolist()]
        columns = {"token": found.token[at], "text": texts, **found.measures(at)}
        return Table("tokens", pa.table(columns))

    def coactivation(self, k: int = 20) -> Table:
        """Return the clusters of its clustering that co-activate most, by Jaccard index.

        Columns: cluster, label, tokens (at which both are active), jaccard; where the run did not
        count all tokens, those of the rows of the ranking ``shared``, with ``jaccard_error``, a
        standard error. Raises SnapshotError if it has neither.
        """
        if not self.numbers.get("coactivation_counted"):
            return self._sampled_coactivation(k)
        clusters = self._snapshot.clusters.arrow
        either = [[("cluster_a", "==", self.number)], [("cluster_b", "==", self.number)]]
        pairs = self._snapshot.table("coactivation", filters=either).arrow
        a, b, tokens = (pairs[n].to_numpy() for n in ("cluster_a", "cluster_b", "tokens"))
        other = np.where(a == self.number, b, a)
        firing = clusters["firing_tokens"].to_numpy()
        union = np.maximum(firing[other] + firing[self.number] - tokens, 1)
        jaccard = np.minimum(tokens / union, 1.0)
        best = np.lexsort((other, -jaccard))[:k]
        columns = {
            "cluster": other[best],
            "label": clusters["label"].take(other[best]),
            "tokens": tokens[best],
            "jaccard": jaccard[best],
        }
        return Table("coactivation", pa.table(columns))

    def _sampled_coactivation(self, k: int) -> Table:
        if "shared" not in self._snapshot.rankings:
            raise SnapshotError(
                f"the run does not count the co-activation of {self.clustering}, and does not have "
                "the ranking 'shared'"
            )
        firings, own = self._snapshot.shared_firings, slice(self.number, self.number + 1)
        pairs = firings.pairs(own, self._clustering_span()).best(k)
        columns = {
            "cluster": pairs.b,
            "label": self._snapshot.clusters["label"].take(pairs.b),
            "tokens": pairs.both,
            "jaccard": pairs.jaccard,
            "jaccard_error": firings.errors(pairs).jaccard,
        }
        return Table("sampled_coactivation", pa.table(columns))

    def __repr__(self) -> str:
        return f"<{self.clustering} {self.label!r}: {len(self.members)} features>"

    def _repr_html_(self) -> str:
        density = float(self.numbers["activation_density"])
        head = f"{escape(self.clustering)} <b>{escape(self.label)}</b>"
        said = f"activation density {density:.3%}, largest {self.numbers['max_activation']:.4g}"
        return f"<p>{head}: {said}</p>{self.examples(k=5)._repr_html_()}"
