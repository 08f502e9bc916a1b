"""The strongest, most frequent and most selective features of dictionaries, and specialists."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.analysis.domain_counts import DomainCounts
from streams.arrays import F64, I64
from streams.snapshots.tables import Column, TableForm

_NAMED = (
    Column("source", pa.string(), "dictionary"),
    Column("index", pa.int32(), "feature's index in it"),
)
_DOMAIN = (
    Column("domain", pa.string(), "domain for which `selectivity` is largest; null if unknown"),
    Column("share", pa.float64(), "active tokens inside the domain / in all domains", "1"),
    Column("selectivity", pa.float64(), "`share` / the domain's share of tokens", "1"),
)

LEADERS = TableForm(
    "leaders",
    "The strongest, most frequent and most selective features of each dictionary.",
    ("source", "by", "rank"),
    (
        _NAMED[0],
        Column("by", pa.string(), "`strongest`, `frequent` or `selective`"),
        Column("rank", pa.int32(), "1 is first"),
        _NAMED[1],
        Column("max_activation", pa.float64(), "largest activation", "activation"),
        Column("activation_density", pa.float64(), "active tokens / valid tokens", "1"),
        Column("firing_tokens", pa.int64(), "valid tokens at which it is active", "tokens"),
        *_DOMAIN,
        Column("neuronpedia", pa.string(), "its page at Neuronpedia, empty if none is known"),
    ),
)

SPECIALISTS = TableForm(
    "specialists",
    "Features that are active mostly in one domain.",
    ("source", "domain", "rank"),
    (
        _NAMED[0],
        Column("domain", pa.string(), "domain"),
        Column("domain_share", pa.float64(), "the domain's share of the tokens of all", "1"),
        Column("specialists", pa.int64(), "features of the dictionary that are specialists of it"),
        Column("rank", pa.int32(), "1 has the largest `selectivity`; null where there is none"),
        _NAMED[1],
        Column("share", pa.float64(), "active tokens inside the domain / in all domains", "1"),
        Column("selectivity", pa.float64(), "`share` / `domain_share`", "1"),
        Column("firing_tokens", pa.int64(), "tokens of all domains at which it is active"),
    ),
)


@dataclass(frozen=True, slots=True)
class SourceClusters:
    """The single features of a source: the numbers of their clusters, and of those that are active.

    first: cluster of feature 0, features follow one another. release: id at Neuronpedia or "".
    """

    name: str
    first: int
    features: int
    neuronpedia: str = ""

    @property
    def span(self) -> slice:
        """Their clusters."""
        return slice(self.first, self.first + self.features)


@dataclass(frozen=True, eq=False)
class Selectivity:
    """Of clusters, [cluster]: tokens in all domains, and the domain they are selective for.

    selectivity is 0 and domain -1 for those with fewer tokens than the least.
    """

    tokens: I64
    domain: I64
    share: F64
    selectivity: F64


def selectivity_of(counts: DomainCounts, least: int) -> Selectivity:
    """Return the selectivity of clusters that are active at ``least`` tokens of domains or more.

    Domains beyond the run's budget count in the totals and are none to be selective for.
    """
    tokens = counts.firing_tokens.sum(axis=1)
    share = counts.firing_tokens / np.maximum(tokens, 1)[:, None]
    named = np.array([bool(name) for name in counts.names]) & (counts.tokens > 0)
    base = counts.tokens / counts.tokens.sum()
    ratio = np.where(named, share / np.where(base > 0, base, 1.0), 0.0)
    enough = tokens >= least
    best = ratio.argmax(axis=1)
    at = np.arange(len(best))
    some = enough & (ratio[at, best] > 0)
    return Selectivity(
        tokens,
        np.where(some, best, -1),
        np.where(some, share[at, best], 0.0),
        np.where(some, ratio[at, best], 0.0),
    )


def leaders(
    sources: Sequence[SourceClusters],
    clusters: pa.Table,
    counts: DomainCounts | None,
    found: Selectivity | None,
    top: int,
    address: Callable[[str, int], str],
) -> pa.Table:
    """Return LEADERS. clusters: the run's. address: of a feature by its dictionary's id."""
    maximum = clusters["max_activation"].to_numpy().astype(np.float64)
    firing = clusters["firing_tokens"].to_numpy()
    density = clusters["activation_density"].to_numpy()
    rows = []
    for source in sources:
        span = source.span
        ways: dict[str, F64 | I64] = {"strongest": maximum[span], "frequent": firing[span]}
        if found is not None:
            ways["selective"] = found.selectivity[span]
        for by, value in ways.items():
            order = np.lexsort((np.arange(source.features), -firing[span], -value))[:top]
            for rank, index in enumerate(order[value[order] > 0].tolist(), 1):
                at = source.first + index
                rows.append(
                    {
                        "source": source.name,
                        "by": by,
                        "rank": rank,
                        "index": index,
                        "max_activation": maximum[at],
                        "activation_density": density[at],
                        "firing_tokens": firing[at],
                        **_domain_of(counts, found, at),
                        "neuronpedia": address(source.neuronpedia, index),
                    }
                )
    return pa.Table.from_pylist(rows, schema=LEADERS.schema)


def specialists(
    sources: Sequence[SourceClusters],
    counts: DomainCounts,
    least: int,
    share: float,
    ratio: float,
    top: int,
) -> pa.Table:
    """Return SPECIALISTS: features active at ``least`` tokens or more, a ``share`` of them or more
    in the domain, ``ratio`` times its share of tokens or more. A domain without any has one row.
    """
    tokens = counts.firing_tokens.sum(axis=1)
    base = counts.tokens / counts.tokens.sum()
    rows: list[dict[str, Any]] = []
    for source in sources:
        own = tokens[source.span]
        for at, name in enumerate(counts.names):
            if not name or not base[at]:
                continue
            inside = counts.firing_tokens[source.span, at] / np.maximum(own, 1)
            chosen = (own >= least) & (inside >= share) & (inside >= ratio * base[at])
            said = {
                "source": source.name,
                "domain": name,
                "domain_share": base[at],
                "specialists": int(chosen.sum()),
            }
            rows += [{**said, **row} for row in _best(chosen, inside, own, base[at], top)]
    return pa.Table.from_pylist(rows, schema=SPECIALISTS.schema)


def _best(chosen: Any, inside: F64, tokens: I64, base: float, top: int) -> Iterator[dict[str, Any]]:
    at = np.flatnonzero(chosen)
    order = at[np.lexsort((at, -tokens[at], -inside[at]))][:top].tolist()
    if not order:
        yield {}
    for rank, index in enumerate(order, 1):
        yield {
            "rank": rank,
            "index": index,
            "share": inside[index],
            "selectivity": inside[index] / base,
            "firing_tokens": tokens[index],
        }


def _domain_of(counts: DomainCounts | None, found: Selectivity | None, at: int) -> dict[str, Any]:
    if counts is None or found is None or found.domain[at] < 0:
        return {"domain": None, "share": None, "selectivity": None}
    return {
        "domain": counts.names[int(found.domain[at])],
        "share": found.share[at],
        "selectivity": found.selectivity[at],
    }
