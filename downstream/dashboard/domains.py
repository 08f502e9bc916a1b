"""In which domains of the corpus clusters are active: shares of their active tokens.

From the statistic ``domains`` where the run has it, which counts every token; otherwise from the
domains of a cluster's best examples.
"""

import logging
from functools import partial

import numpy as np
import pyarrow as pa

from downstream.rendering.data import LoadedSnapshot
from streams.arrays import F64, I64
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

_log = logging.getLogger(__name__)

_FIRINGS, _DOMAINS = "domain_firings", "domains"
MOST = 200
"""Domains that a list can be bounded by."""


def counted(snapshot: LoadedSnapshot) -> bool:
    """Return whether the run counted every token by its domain."""
    return all(snapshot.manifest.table(name) is not None for name in (_FIRINGS, _DOMAINS))


def domain_names(snapshot: LoadedSnapshot) -> tuple[str, ...]:
    """Return the domains by which clusters can be told apart, in alphabetical order."""
    return snapshot.once("domains", partial(_names, snapshot))


def share_in_domain(snapshot: LoadedSnapshot, domain: str) -> F64:
    """Return the share [cluster] of each cluster's active tokens that lie in a domain.

    Without the statistic that of its best examples; NaN for clusters that have none.
    """
    last: dict[str, F64] = snapshot.once("domain asked for last", dict)
    found = last.get(domain)
    if found is None:
        found = _in_domain(snapshot, domain)
        last.clear()
        last[domain] = found
    return found


def _in_domain(snapshot: LoadedSnapshot, domain: str) -> F64:
    clusters = len(snapshot.labels)
    if domain not in domain_names(snapshot):
        return np.zeros(clusters)
    if counted(snapshot):
        try:
            rows = read_table(snapshot.manifest, _FIRINGS, filters=[("domain", "==", domain)])
            number = rows["cluster"].to_numpy().astype(np.int64)
            inside = (number >= 0) & (number < clusters)
            active = rows["firing_tokens"].to_numpy()[inside]
            return _share(np.bincount(number[inside], active, clusters), snapshot.firing_tokens)
        except (SnapshotError, KeyError, ValueError, TypeError) as error:
            _log.error("domains cannot be read: %s", error)
            return np.full(clusters, np.nan)
    index, domains = snapshot.examples, snapshot.text.domains
    wanted = domains.dictionary.index(pa.scalar(domain)).as_py()
    ours = domains.indices.to_numpy()[index.sample] == wanted
    return _share(np.bincount(index.cluster[ours], minlength=clusters), np.diff(index.first))


def _share(part: I64 | F64, whole: I64) -> F64:
    found: F64 = np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
    return found


def _names(snapshot: LoadedSnapshot) -> tuple[str, ...]:
    if not counted(snapshot):
        return tuple(sorted(filter(None, snapshot.text.domains.dictionary.to_pylist()))[:MOST])
    try:
        rows = read_table(snapshot.manifest, _DOMAINS, columns=["domain"])
    except SnapshotError as error:
        _log.error("domains cannot be read: %s", error)
        return ()
    return tuple(sorted(filter(None, rows["domain"].to_pylist()))[:MOST])
