"""Domains: at how many tokens and rows of each domain a cluster is active, beside those there are.

A row's domain is the tag that its corpus gave it; rows without one are in no domain.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from consumers.compiled import compiled
from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Keyed
from consumers.statistics.activity import ClusterActivity, FiringRows
from consumers.statistics.contributions import Contributions, KeySums
from consumers.statistics.keys import LONGEST, OTHER, key_of
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64, U64, AnyArray
from streams.records.measures import parameter
from streams.records.runs import RunRecord
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

NAME = "domains@1"
_DOMAIN = Column(
    "domain",
    pa.string(),
    f"domain, its first {LONGEST} characters; empty for all domains beyond the run's `budget`",
)

FIRINGS = TableForm(
    "domain_firings",
    "Tokens and rows of each domain at which a cluster is active; zeros are left out.",
    ("cluster", "domain"),
    (
        Column("cluster", pa.int32(), "cluster"),
        _DOMAIN,
        Column("firing_tokens", pa.int64(), "valid tokens at which it is active", "tokens"),
        Column("firing_rows", pa.int64(), "rows with such a token", "rows"),
    ),
)

DOMAINS = TableForm(
    "domains",
    "Tokens and rows of each domain of the run.",
    ("domain",),
    (
        _DOMAIN,
        Column("tokens", pa.int64(), "valid tokens", "tokens"),
        Column("rows", pa.int64(), "rows with one", "rows"),
    ),
)


class Domains:
    """See the module. Parameter ``budget``: how many domains are kept, those of smallest hash."""

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {"budget": Parameter(64, 1, 2**12)}
    tables = (FIRINGS, DOMAINS)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return tokens and rows by domain, of clusters and of the run."""
        budget = _budget(clusters.run)
        return (
            Keyed("firings", budget, columns=2, named=True),
            Keyed("totals", budget, columns=2, per="run", named=True),
        )

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what the rows of each domain add."""
        del at
        return _contributions(activity, lambda *named: _firings(activity.rows, *named))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device import domains

        del at
        return _contributions(activity, lambda *named: domains.firings(activity, *named))

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the rows of both tables, domains in alphabetical order."""
        found = _by_domain(view, "firings")
        firings = FIRINGS.table(dict(zip(FIRINGS.schema.names, found, strict=True)))
        if not view.owns_run:
            return {FIRINGS.name: firings, DOMAINS.name: DOMAINS.schema.empty_table()}
        _, *totals = _by_domain(view, "totals")
        return {
            FIRINGS.name: firings,
            DOMAINS.name: DOMAINS.table(dict(zip(DOMAINS.schema.names, totals, strict=True))),
        }

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(_budget(clusters.run))


def _budget(run: RunRecord) -> int:
    return int(parameter(run.statistics, NAME, "budget"))


def _cut(domain: str) -> str:
    return domain[:LONGEST]


def _contributions(
    activity: "ClusterActivity | DeviceActivity", firings: Callable[[I64, U64], KeySums]
) -> Contributions:
    """Return what rows of each domain add. firings: of each row's domain, -1 for none, and keys."""
    valid, named = activity.valid, [_cut(each) for each in activity.batch.domains]
    counts = valid.any(axis=1) & np.array([bool(each) for each in named], bool)
    present = {each for each, row in zip(named, counts, strict=True) if row}
    if not present:
        return Contributions()
    domains = sorted(present, key=key_of)
    number = {each: n for n, each in enumerate(domains)}
    of_row = np.array([number.get(each, -1) for each in named], np.int64)
    keys = np.array([key_of(each) for each in domains], np.uint64)
    tokens = np.bincount(of_row[counts], valid[counts].sum(axis=1), len(domains))
    rows = np.bincount(of_row[counts], minlength=len(domains))
    totals = np.stack([tokens.astype(np.int64), rows], axis=1)
    texts = tuple(domains)
    return Contributions(
        keyed={
            "firings": firings(of_row, keys),
            "totals": KeySums(np.zeros(len(keys), np.int64), keys, totals),
        },
        names={"firings": texts, "totals": texts},
    )


def _firings(rows: FiringRows, of_row: I64, keys: AnyArray) -> KeySums:
    """Return tokens and rows by cluster and domain. of_row: a row's domain, -1 for none."""
    size = len(rows)
    cluster, domain = np.empty(size, np.int64), np.empty(size, np.int64)
    value = np.empty((size, 2), np.int64)
    scratch = np.zeros((len(keys), 2), np.int64)
    n = _by_cluster(
        rows.begin, rows.row, rows.first, rows.stop, of_row, scratch, cluster, domain, value
    )
    return KeySums(cluster[:n], keys[domain[:n]], value[:n])


@compiled
def _by_cluster(
    begin: I64,
    row: AnyArray,
    first: I64,
    stop: I64,
    of_row: I64,
    sums: AnyArray,
    cluster_of: AnyArray,
    domain_of: AnyArray,
    value: AnyArray,
) -> int:
    n = 0
    for cluster in range(len(begin) - 1):
        if begin[cluster] == begin[cluster + 1]:
            continue
        for at in range(begin[cluster], begin[cluster + 1]):
            domain = of_row[row[at]]
            if domain >= 0:
                sums[domain, 0] += stop[at] - first[at]
                sums[domain, 1] += 1
        for domain in range(len(sums)):
            if sums[domain, 1]:
                cluster_of[n], domain_of[n] = cluster, domain
                value[n, 0], value[n, 1] = sums[domain, 0], sums[domain, 1]
                sums[domain, 0], sums[domain, 1] = 0, 0
                n += 1
    return n


def _by_domain(view: StateView, name: str) -> tuple[I64, pa.Array, I64, I64]:
    """Return cluster, domain, tokens and rows of keyed sums, by cluster and domain."""
    found, names = view.keyed(name), view.names(name)
    keys = np.array([*names, int(OTHER)], np.uint64)
    texts = [*names.values(), ""]
    order = np.argsort(np.array(texts, object), kind="stable")  # UTF-8 sorts as code points do
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    sorter = np.argsort(keys)
    which = sorter[np.searchsorted(keys, found.key, sorter=sorter)]
    rank = np.lexsort((place[which], found.cluster))
    text = pa.array(texts, pa.string()).take(pa.array(which[rank]))
    return found.cluster[rank], text, found.value[rank, 0], found.value[rank, 1]


class _Recount:
    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._firings: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
        self._totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        for domain, row in zip(batch.batch.domains, cluster.activity, strict=True):
            tokens = int((row > -np.inf).sum())
            if domain and tokens:
                _add(self._firings[(cluster.number, domain[:LONGEST])], tokens)

    def batch(self, batch: PlainBatch) -> None:
        for domain, row in zip(batch.batch.domains, batch.valid, strict=True):
            if domain and row.any():
                _add(self._totals[domain[:LONGEST]], int(row.sum()))

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        kept = sorted(self._totals, key=key_of)[: self._budget]
        firings: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for (cluster, domain), found in self._firings.items():
            _add(firings[(cluster, domain if domain in kept else "")], *found)
        for domain, found in self._totals.items():
            _add(totals[domain if domain in kept else ""], *found)
        return {
            FIRINGS.name: [
                {"cluster": c, "domain": d, "firing_tokens": n, "firing_rows": rows}
                for (c, d), (n, rows) in sorted(firings.items())
            ],
            DOMAINS.name: [
                {"domain": d, "tokens": n, "rows": rows} for d, (n, rows) in sorted(totals.items())
            ],
        }


def _add(found: list[int], tokens: int, rows: int = 1) -> None:
    found[0] += tokens
    found[1] += rows
