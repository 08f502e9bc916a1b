"""Tokens: which tokens a cluster is active at, and how strongly, from rows chosen by their hash.

Up to ``budget`` tokens a cluster has exact counts; with more, all of them go into a sketch, and
those that it says are most frequent are shown with its error.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from consumers.compiled import compiled
from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Keyed, Sum
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions, KeySums
from consumers.statistics.measured import chosen_rows
from consumers.statistics.parameters import Parameter
from consumers.statistics.sketch import cells_of, error_of, estimates, first_cell
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from consumers.statistics.token_tables import FIRINGS, MAXIMA, TOKENS, TOTALS
from streams.arrays import F32, I32, I64, AnyArray, Bool
from streams.records.measures import parameter
from streams.records.runs import RunRecord

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

NAME = "tokens@2"


class Tokens:
    """See the module.

    Parameters: ``one_in``: of how many rows one is looked at; ``budget``: tokens with exact counts
    per cluster, and how many are shown of more; ``sketch``: cells in a row of the sketch.
    """

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {
        "budget": Parameter(128, 1, 2**16),
        "one_in": Parameter(16, 1, 2**20),
        "sketch": Parameter(256, 1, 2**16),
    }
    tables = (FIRINGS, MAXIMA, TOTALS, TOKENS)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return sums by token id of each cluster, and a count of each id for the run.

        The third column is the largest activation: a float32 from 0 on has the order of its bits.
        """
        run = clusters.run
        keyed = Keyed("firings", _budget(run), columns=3, sketch=_cells(run), maxima=1)
        return (keyed, Sum("tokens", run.model.vocabulary, per="run"))

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what the chosen rows of a batch add."""
        run, tokens, rows = activity.clusters.run, activity.tokens, activity.rows
        chosen = chosen_rows(activity.batch.keys, _one_in(run))
        picked = np.flatnonzero(chosen[rows.row])
        size = int((rows.stop[picked] - rows.first[picked]).sum())
        cluster, key = np.empty(size, np.int64), np.empty(size, np.int64)
        fixed, bits = np.empty(size, np.int64), np.empty(size, np.int64)
        _pick(
            rows.cluster[picked],
            rows.first[picked],
            rows.stop[picked],
            tokens.token,
            tokens.activity,
            tokens.activity.view(np.int32),
            activity.batch.ids.reshape(-1),
            2.0**run.sum_bits,
            cluster,
            key,
            fixed,
            bits,
        )
        return _contributions(activity, at, chosen, _by_key(cluster, key, fixed, bits))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device import tokens

        chosen = chosen_rows(activity.batch.keys, _one_in(activity.clusters.run))
        return _contributions(activity, at, chosen, tokens.by_key(activity, chosen))

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return exact counts, and the most frequent tokens of those clusters that have more."""
        run, found = view.clusters.run, view.keyed("firings")
        sketched = found.key >= np.uint64(first_cell(_cells(run)))
        exact = np.flatnonzero(~sketched)
        parts = [
            (found.cluster[exact], found.key[exact].astype(np.int64), found.value[exact], exact * 0)
        ]
        whole = [_totals(found.cluster[exact], found.value[exact, 0])]
        of_ids = cells_of(np.arange(run.model.vocabulary, dtype=np.uint64), _cells(run))
        for cluster in np.unique(found.cluster[sketched]):
            first, stop = np.searchsorted(found.cluster, (cluster, cluster + 1))
            cells = (found.key[first:stop] - np.uint64(first_cell(_cells(run)))).astype(np.int64)
            value = found.value[first:stop]
            counts = estimates(cells, value, 0, of_ids)
            top = _top(counts, _budget(run))
            total = int(value[cells < _cells(run), 0].sum())  # each key is in each row of cells
            whole.append((np.array([cluster]), np.array([total])))
            said = [estimates(cells, value, column, of_ids[top]) for column in (1, 2)]
            error = np.full(len(top), error_of(total, _cells(run)))
            parts.append(
                (np.full(len(top), cluster), top, np.stack([counts[top], *said], axis=1), error)
            )
        cluster_of, token, values, error = map(np.concatenate, zip(*parts, strict=True))
        order = np.argsort(cluster_of, kind="stable")
        cluster_of, token, values = cluster_of[order], token[order], values[order]
        firings = (cluster_of, token, values[:, 0], values[:, 1], error[order])
        named = dict(zip(FIRINGS.schema.names, firings, strict=True))
        peaks = values[:, 2].astype(np.int32).view(np.float32)
        maxima = MAXIMA.table({"cluster": cluster_of, "token": token, "max_activation": peaks})
        of_clusters, totals = map(np.concatenate, zip(*whole, strict=True))
        order = np.argsort(of_clusters, kind="stable")
        columns = {"cluster": of_clusters[order], "firing_tokens": totals[order]}
        tokens = TOKENS.schema.empty_table()
        if view.owns_run:
            counts = view.sums("tokens")[0]
            some = np.flatnonzero(counts)
            tokens = TOKENS.table({"token": some, "tokens": counts[some]})
        return {
            FIRINGS.name: FIRINGS.table(named),
            MAXIMA.name: maxima,
            TOTALS.name: TOTALS.table(columns),
            TOKENS.name: tokens,
        }

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters.run)


def _budget(run: RunRecord) -> int:
    return int(parameter(run.statistics, NAME, "budget"))


def _one_in(run: RunRecord) -> int:
    return int(parameter(run.statistics, NAME, "one_in"))


def _cells(run: RunRecord) -> int:
    return int(parameter(run.statistics, NAME, "sketch"))


def _contributions(
    activity: "ClusterActivity | DeviceActivity",
    at: Mapping[str, I64],
    chosen: Bool,
    firings: KeySums,
) -> Contributions:
    """Return firings by key, and the tokens that the chosen rows have of each id."""
    ids, count = np.unique(activity.batch.ids[activity.valid & chosen[:, None]], return_counts=True)
    tokens = at["tokens"][0] + ids.astype(np.int64), count.astype(np.int64)
    return Contributions(sums=(tokens,), keyed={"firings": firings})


def _totals(cluster: I64, count: I64) -> tuple[I64, I64]:
    """Return the clusters that occur, which lie together, and the sums of their counts."""
    clusters, first = np.unique(cluster, return_index=True)
    return clusters, np.add.reduceat(count, first) if len(first) else count[:0]


def _top(counts: I64, most: int) -> I64:
    """Return where the largest counts above 0 stand, ascending; of equal ones the first."""
    least = np.partition(counts, -most)[-most] if most < len(counts) else np.int64(0)
    above = np.flatnonzero(counts > least)
    equal = np.flatnonzero((counts == least) & (counts > 0))[: most - len(above)]
    return np.sort(np.concatenate([above, equal]))


@compiled
def _pick(
    row_cluster: AnyArray,
    first: I64,
    stop: I64,
    token: I32,
    activity: F32,
    bits_of: I32,
    ids: AnyArray,
    unit: float,
    cluster: AnyArray,
    key: AnyArray,
    fixed: AnyArray,
    bits: AnyArray,
) -> None:
    n = 0
    for row in range(len(first)):
        for at in range(first[row], stop[row]):
            cluster[n], key[n] = row_cluster[row], ids[token[at]]
            fixed[n] = np.int64(np.rint(np.float64(activity[at]) * unit))
            bits[n] = bits_of[at]
            n += 1


def _by_key(cluster: I64, key: I64, fixed: I64, bits: I64) -> KeySums:
    """Return counts, sums and maxima by cluster and key, sorted."""
    order = np.lexsort((key, cluster))
    cluster, key, fixed, bits = cluster[order], key[order], fixed[order], bits[order]
    begins = np.flatnonzero(
        np.r_[True, (cluster[1:] != cluster[:-1]) | (key[1:] != key[:-1])][: len(key)]
    )
    if not len(begins):
        return KeySums(cluster, key.astype(np.uint64), np.zeros((0, 3), np.int64))
    counts = np.diff(np.r_[begins, len(key)])
    sums, maxima = np.add.reduceat(fixed, begins), np.maximum.reduceat(bits, begins)
    value = np.stack([counts, sums, maxima], axis=1)
    return KeySums(cluster[begins], key[begins].astype(np.uint64), value)


class _Recount:
    def __init__(self, run: RunRecord) -> None:
        self._run = run
        self._found: dict[int, dict[int, list[Any]]] = defaultdict(dict)
        self._tokens: dict[int, int] = defaultdict(int)

    def _is_chosen(self, batch: PlainBatch, row: int) -> bool:
        key = batch.batch.keys[row].tobytes()
        return int.from_bytes(key[:8], "big") % _one_in(self._run) == 0

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        of_cluster, unit = self._found[cluster.number], 2**self._run.sum_bits
        for row, position in zip(*np.nonzero(cluster.activity > -np.inf), strict=True):
            if self._is_chosen(batch, row):
                sums = of_cluster.setdefault(int(batch.batch.ids[row, position]), [0, 0, 0.0])
                value = float(cluster.activity[row, position])
                sums[:] = sums[0] + 1, sums[1] + round(value * unit), max(sums[2], value)

    def batch(self, batch: PlainBatch) -> None:
        for row, position in zip(*np.nonzero(batch.valid), strict=True):
            if self._is_chosen(batch, row):
                self._tokens[int(batch.batch.ids[row, position])] += 1

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        rows = [row for cluster in sorted(self._found) for row in self._rows(cluster)]
        firings = [{name: row[name] for name in FIRINGS.schema.names} for row in rows]
        maxima = [{name: row[name] for name in MAXIMA.schema.names} for row in rows]
        found = sorted(self._found.items())
        totals = [
            {"cluster": c, "firing_tokens": sum(n for n, _, _ in of.values())}
            for c, of in found
            if of
        ]
        of_ids = [{"token": t, "tokens": n} for t, n in sorted(self._tokens.items())]
        return {
            FIRINGS.name: firings,
            MAXIMA.name: maxima,
            TOTALS.name: totals,
            TOKENS.name: of_ids,
        }

    def _rows(self, cluster: int) -> Rows:
        found, run = self._found[cluster], self._run
        shown, error = found, 0
        if len(found) > _budget(run):
            every = range(run.model.vocabulary)
            cells = cells_of(np.array(every, np.uint64), _cells(run)).tolist()
            held: dict[int, list[Any]] = defaultdict(lambda: [0, 0, 0.0])
            for token, sums in found.items():
                for cell in cells[token]:
                    n, total, most = held[cell]
                    held[cell] = [n + sums[0], total + sums[1], max(most, sums[2])]
            said = {t: [min(held[c][i] for c in cells[t]) for i in range(3)] for t in every}
            top = sorted(every, key=lambda t: (-said[t][0], t))[: _budget(run)]
            shown = {t: said[t] for t in top if said[t][0]}
            error = error_of(sum(sums[0] for sums in found.values()), _cells(run))
        return [
            {
                "cluster": cluster,
                "token": token,
                "firing_tokens": sums[0],
                "activation_sum": sums[1],
                "error": error,
                "max_activation": sums[2],
            }
            for token, sums in sorted(shown.items())
        ]
