"""The panel of domains: how often a cluster is active in each domain of the corpus."""

from dataclasses import dataclass

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

_MOST, _ALL = 12, 4096


@dataclass(frozen=True, slots=True)
class DomainDensity:
    """A domain. density: share of its tokens at which the cluster is active.

    share: of the cluster's active tokens that have a domain.
    """

    domain: str
    firing_tokens: int
    density: float
    share: float


@dataclass(frozen=True, slots=True)
class ShownDomains:
    """The domains in which a cluster is active, the densest first. more: how many are left out."""

    domains: tuple[DomainDensity, ...]
    more: int


@dataclass(frozen=True, slots=True)
class DomainsPanel:
    """What the statistic ``domains`` says of a cluster."""

    table: str = "domain_firings"
    template: str = "panels/domains.html"

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> ShownDomains | None:
        """Return the domains of a cluster, None for one that is active in none."""
        filters = [("cluster", "==", subject.cluster)]
        rows = read_table(snapshot.manifest, self.table, filters=filters).slice(0, _ALL)
        tokens = snapshot.once(("tokens of domains", snapshot.name), lambda: _tokens(snapshot))
        counts = {str(row["domain"]): row["firing_tokens"] for row in rows.to_pylist()}
        if not counts:
            return None
        if not all(type(n) is int and 0 < n <= tokens.get(d, 0) for d, n in counts.items()):
            raise SnapshotError("its domains do not fit those of the run")
        whole = sum(counts.values())
        found = [DomainDensity(d, n, n / tokens[d], n / whole) for d, n in counts.items()]
        found.sort(key=lambda each: (-each.density, each.domain))
        return ShownDomains(tuple(found[:_MOST]), max(len(found) - _MOST, 0))


def _tokens(snapshot: LoadedSnapshot) -> dict[str, int]:
    """Return the valid tokens of each domain of the run."""
    rows = read_table(snapshot.manifest, "domains").slice(0, _ALL)
    return {str(row["domain"]): int(row["tokens"]) for row in rows.to_pylist()}
