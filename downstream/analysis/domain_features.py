"""Features of a domain of the corpus, from the counts of a snapshot: no text is read again."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.analysis.domain_counts import DomainCounts, read_domain_counts
from downstream.analysis.rates import difference_interval, equal_shares, log_odds_ratio, wilson
from downstream.reading.snapshot import Snapshot
from downstream.reading.table import Table
from streams.arrays import I64
from streams.errors import SnapshotError
from streams.snapshots.table_entry import column_entry
from streams.snapshots.tables import Column, TableForm

_INTERVAL = "an interval for text like the corpus's, rows taken as independent"


def _of_sample(name: str, description: str, unit: str = "") -> Column:
    return Column(name, pa.float64(), description, unit, "with error", _INTERVAL)


DOMAIN_FEATURES = TableForm(
    "domain_features",
    "Clusters by how far being active in a row tells one domain of the corpus from the other.",
    ("rank",),
    (
        Column("rank", pa.int32(), "1 has the largest `auroc`; then by `log_odds`"),
        Column("cluster", pa.int32(), "cluster"),
        Column("clustering", pa.string(), "clustering; `features/<source>` for single features"),
        Column("label", pa.string(), "label; the feature's index for a single feature"),
        Column("density_with", pa.float64(), "active tokens / valid tokens, in the domain", "1"),
        Column("density_without", pa.float64(), "the same outside of it", "1"),
        Column("rows_with", pa.int64(), "rows of the domain in which it is active", "rows"),
        Column("rows_without", pa.int64(), "rows outside of it in which it is active", "rows"),
        Column("share_with", pa.float64(), "`rows_with` / rows of the domain", "1"),
        _of_sample("share_with_low", "lower end of Wilson's interval of `share_with`", "1"),
        _of_sample("share_with_high", "its upper end", "1"),
        Column("share_without", pa.float64(), "`rows_without` / rows outside of it", "1"),
        _of_sample("share_without_low", "lower end of Wilson's interval of `share_without`", "1"),
        _of_sample("share_without_high", "its upper end", "1"),
        Column("difference", pa.float64(), "`share_with` - `share_without`", "1"),
        _of_sample("difference_low", "lower end of Newcombe's interval of `difference`", "1"),
        _of_sample("difference_high", "its upper end", "1"),
        Column("auroc", pa.float64(), "(1 + `difference`) / 2: of being active in a row", "1"),
        _of_sample("auroc_low", "(1 + `difference_low`) / 2", "1"),
        _of_sample("auroc_high", "(1 + `difference_high`) / 2", "1"),
        Column("log_odds", pa.float64(), "ln of the odds ratio, half a row added to each cell"),
        _of_sample("log_odds_low", "lower end of Wald's interval of `log_odds`"),
        _of_sample("log_odds_high", "its upper end"),
        _of_sample("p", "of equal shares: chi-squared test with Yates' correction", "1"),
        _of_sample("corrected", "p, after Benjamini and Hochberg, over all clusters tried", "1"),
    ),
)


@dataclass(frozen=True, eq=False)
class DomainFeatures:
    """Clusters by how well they tell a domain; table: DOMAIN_FEATURES.

    against: the other domains, counted together. tokens, rows: with and without. tried: how many
    clusters, over which p is corrected. significant: how many of them are within the level.
    """

    domain: str
    against: tuple[str, ...]
    level: float
    tokens: tuple[int, int]
    rows: tuple[int, int]
    tried: int
    significant: int
    table: Table


def domain_features(
    snapshot: Snapshot,
    domain: str,
    against: str | None = None,
    *,
    level: float = 0.05,
    top: int | None = None,
    clustering: str | None = None,
) -> DomainFeatures:
    """Return which features tell a domain of the corpus from another, or from all others.

    clustering: its clusters instead of the single features of all sources. top: rows of the table,
    all if it is None. Counts say in how many rows a feature is active and not how strongly, so the
    AUROC is that of being active in a row; there is no text to hold back. Raises SnapshotError
    for a run that does not count domains, and a domain or clustering that there is not.
    """
    from scipy.stats import false_discovery_control

    if not 0 < level < 0.5:
        raise SnapshotError(f"level {level}: it lies between 0 and 0.5")
    counts = read_domain_counts(snapshot)
    (own,) = counts.columns([domain])
    if against == domain:
        raise SnapshotError(f"domain {domain!r} cannot be told from itself")
    others = counts.columns([against]) if against else _but(counts, own)
    if not others:
        raise SnapshotError(f"{domain!r} is the only domain: there is nothing to tell it from")
    tried = _tried(snapshot, clustering)
    fires = [counts.firing_rows[tried][:, at].sum(axis=1) for at in ([own], others)]
    tokens = [counts.firing_tokens[tried][:, at].sum(axis=1) for at in ([own], others)]
    of_rows = [int(counts.rows[at].sum()) for at in ([own], others)]
    of_tokens = [int(counts.tokens[at].sum()) for at in ([own], others)]
    shares = [each / max(n, 1) for each, n in zip(fires, of_rows, strict=True)]
    difference = shares[0] - shares[1]
    low, high = difference_interval(fires[0], of_rows[0], fires[1], of_rows[1], level)
    odds, odds_low, odds_high = log_odds_ratio(fires[0], of_rows[0], fires[1], of_rows[1], level)
    p = equal_shares(fires[0], of_rows[0], fires[1], of_rows[1])
    corrected = false_discovery_control(p)
    intervals = [wilson(each, n, level) for each, n in zip(fires, of_rows, strict=True)]
    order = np.lexsort((tried, -odds, -difference))[: top if top is not None else len(tried)]
    clusters = snapshot.clusters.arrow.take(pa.array(tried[order]))
    numbers = {
        "density_with": tokens[0] / max(of_tokens[0], 1),
        "density_without": tokens[1] / max(of_tokens[1], 1),
        "rows_with": fires[0],
        "rows_without": fires[1],
        "share_with": shares[0],
        "share_with_low": intervals[0][0],
        "share_with_high": intervals[0][1],
        "share_without": shares[1],
        "share_without_low": intervals[1][0],
        "share_without_high": intervals[1][1],
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "auroc": (1 + difference) / 2,
        "auroc_low": (1 + low) / 2,
        "auroc_high": (1 + high) / 2,
        "log_odds": odds,
        "log_odds_low": odds_low,
        "log_odds_high": odds_high,
        "p": p,
        "corrected": corrected,
    }
    found = DOMAIN_FEATURES.table(
        {
            "rank": np.arange(1, len(order) + 1),
            "cluster": tried[order],
            "clustering": clusters["clustering"].combine_chunks(),
            "label": clusters["label"].combine_chunks(),
            **{name: values[order] for name, values in numbers.items()},
        }
    )
    return DomainFeatures(
        domain,
        tuple(counts.names[at] for at in others),
        level,
        (of_tokens[0], of_tokens[1]),
        (of_rows[0], of_rows[1]),
        len(tried),
        int((corrected <= level).sum()),
        Table(DOMAIN_FEATURES.name, found, [*map(column_entry, DOMAIN_FEATURES.columns)]),
    )


def _but(counts: DomainCounts, own: int) -> list[int]:
    return [at for at in range(len(counts.names)) if at != own]


def _tried(snapshot: Snapshot, clustering: str | None) -> I64:
    """Return the clusters of a clustering, or all single features, those left out excluded."""
    clusters = snapshot.clusters.arrow
    names = clusters["clustering"]
    wanted = (
        pc.starts_with(names, "features/") if clustering is None else pc.equal(names, clustering)
    )
    there = pc.greater(pc.list_value_length(clusters["members"]), 0)
    found = np.flatnonzero(pc.and_(wanted, there).to_numpy())
    if not len(found):
        known = ", ".join(pc.unique(names).to_pylist())
        what = "no single features" if clustering is None else f"no clustering {clustering!r}"
        raise SnapshotError(f"run {snapshot.run!r} has {what} (there are: {known})")
    return found.astype(np.int64)
