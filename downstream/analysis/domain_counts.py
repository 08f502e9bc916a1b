"""Counts by domain of a snapshot: where in the corpus its clusters are active."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from downstream.reading.snapshot import Snapshot
from streams.arrays import I64
from streams.errors import SnapshotError

FIRINGS, DOMAINS = "domain_firings", "domains"


@dataclass(frozen=True, eq=False)
class DomainCounts:
    """Tokens and rows of domains, all exact: of each [domain], and active ones [cluster, domain].

    names: domains in alphabetical order; "" stands for all beyond the budget of the run. Rows
    without a domain are in none of them.
    """

    names: tuple[str, ...]
    tokens: I64
    rows: I64
    firing_tokens: I64
    firing_rows: I64

    def columns(self, wanted: Sequence[str]) -> list[int]:
        """Return the columns of domains; raises SnapshotError, naming those there are."""
        for name in wanted:
            if not name or name not in self.names:
                known = ", ".join(filter(None, self.names)) or "none"
                beyond = " and others, counted together" if "" in self.names else ""
                raise SnapshotError(f"there is no domain {name!r} (there are: {known}{beyond})")
        return [self.names.index(name) for name in wanted]


def read_domain_counts(snapshot: Snapshot) -> DomainCounts:
    """Return the counts; raises SnapshotError unless the run has the statistic ``domains``."""
    if snapshot.manifest.table(FIRINGS) is None or snapshot.manifest.table(DOMAINS) is None:
        raise SnapshotError(
            f"run {snapshot.run!r} does not count domains: it needs the statistic 'domains'"
        )
    totals = snapshot.table(DOMAINS).arrow.sort_by("domain")
    if not len(totals):
        raise SnapshotError(f"no row of run {snapshot.run!r} has a domain")
    names = tuple(totals["domain"].to_pylist())
    firings = snapshot.table(FIRINGS).arrow
    number = {name: at for at, name in enumerate(names)}
    encoded = firings["domain"].combine_chunks().dictionary_encode()
    of_code = np.array([number.get(name, -1) for name in encoded.dictionary.to_pylist()], np.int64)
    domain = of_code[encoded.indices.to_numpy()] if len(firings) else np.zeros(0, np.int64)
    cluster = firings["cluster"].to_numpy()
    clusters = len(snapshot.clusters)
    if len(firings) and (domain.min() < 0 or cluster.min() < 0 or cluster.max() >= clusters):
        raise SnapshotError(f"snapshot {snapshot.name!r}: {FIRINGS} names what {DOMAINS} has not")
    counted = []
    for column in ("firing_tokens", "firing_rows"):
        dense = np.zeros((clusters, len(names)), np.int64)
        dense[cluster, domain] = firings[column].to_numpy()
        counted.append(dense)
    tokens, rows = (totals[column].to_numpy().astype(np.int64) for column in ("tokens", "rows"))
    return DomainCounts(names, tokens, rows, *counted)
