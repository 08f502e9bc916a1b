"""Selection on a device: only tallies, candidates and the rows of winners cross to the host."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from consumers.activations.device_activations import DeviceActivations
from consumers.plan import Plan
from consumers.rankings.ranking import Candidates as RankedRows
from consumers.rankings.ranking import DeviceRanking
from consumers.selection.batch_tally import BatchTally, tally_of
from consumers.selection.device.member_rows import member_rows
from consumers.selection.device.membership import DeviceClusters, device_activity
from consumers.selection.device.slabs import added, slabs_of, values_at_once, within
from consumers.selection.selection import Candidates, candidates_of, cluster_activity
from consumers.statistics.activity import ClusterActivity, ClusterTokens
from consumers.statistics.contributions import Contributions
from consumers.statistics.device.activity import DeviceActivity
from consumers.statistics.statistic import DeviceStatistic, name_of
from streams.arrays import F32, I64, AnyArray, Bool
from streams.records.corpus import TokenBatch
from streams.records.hits import Hits, join, take

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class DeviceSelection:
    """A batch's tally and candidates on the host, and its activations on the device.

    slabs: the rows that were selected from at a time. activity: unless there are several.
    """

    tally: BatchTally
    candidates: Candidates
    plan: Plan
    batch: TokenBatch
    clusters: DeviceClusters
    valid: Bool
    found: DeviceActivations
    slabs: Sequence[range]
    activity: DeviceActivity | None

    def tokens_to_host(self) -> ClusterTokens:
        """Return where clusters are active as arrays."""
        if self.activity is not None:
            return self.activity.tokens_to_host()
        return cluster_activity(self.plan, self.batch, self.valid, self.found.to_host()).tokens

    def with_rows(self, which: AnyArray) -> Hits:
        """Return the candidates ``which`` as hits, with the rows of every member."""
        if len(self.slabs) == 1:
            return self._hits(which, self.found)
        parts, row = list[tuple[I64, Hits]](), self.candidates.row[which]
        for slab in self.slabs:
            at = np.flatnonzero((row >= slab.start) & (row < slab.stop))
            if len(at):
                with torch.inference_mode():
                    found = within(self.found, slab)
                parts.append((at, self._hits(which[at], found)))
        if not parts:
            return self._hits(which, self.found)
        order = np.argsort(np.concatenate([at for at, _ in parts]))
        return take(join([hits for _, hits in parts]), order)

    def _hits(self, which: AnyArray, found: DeviceActivations) -> Hits:
        candidates, batch = self.candidates, self.batch
        row, table = candidates.row[which], candidates.table[which]
        cluster = (table // np.uint32(self.plan.tables)).astype(np.int64)
        rows, member, position, value = member_rows(self.clusters, found, cluster, row)
        return Hits(
            table=table,
            score=candidates.score[which],
            sample_high=candidates.sample_high[which],
            sample_low=candidates.sample_low[which],
            peak=candidates.peak[which],
            partition=np.full(len(which), batch.partition, np.int32),
            sequence=np.full(len(which), batch.sequence, np.int64),
            row=row,
            rows=rows,
            member=member,
            position=position,
            value=value,
        )


def without_device_form(plan: Plan) -> list[str]:
    """Return the names of the statistics and rankings that read a batch on the host alone."""
    counted, ranked = plan.statistics, plan.rankings
    names = [name_of(each) for each in counted if not isinstance(each, DeviceStatistic)]
    return names + [each.name for each in ranked if not isinstance(each.ranking, DeviceRanking)]


class DeviceSelector:
    """Selects for a run on one device; says once, in the log, what it has to do on the host.

    most: values that it selects from at a time, unless a single row has more; see ``slabs``.
    """

    def __init__(self, plan: Plan, device: torch.device, most: int | None = None) -> None:
        self._plan = plan
        self._most = values_at_once(device) if most is None else most
        self._clusters = DeviceClusters.of(plan, device)
        if names := without_device_form(plan):
            log.warning(
                "%s have no form for %s: what they read is brought to the host for each batch",
                ", ".join(names),
                device.type,
            )

    def select(
        self, batch: TokenBatch, valid: Bool, found: DeviceActivations, least: F32
    ) -> DeviceSelection:
        """Return what a batch adds; bit for bit that of ``selection.select``, errors as there."""
        plan, slabs = self._plan, slabs_of(found, len(valid), self._most)
        whole: DeviceActivity | None = None

        @cache
        def on_host() -> ClusterActivity:
            """Return the activity of the whole batch: what has no form for devices is not cut."""
            if whole is not None:
                return whole.to_host()
            return cluster_activity(plan, batch, valid, found.to_host())

        counted = {name_of(each): list[Contributions]() for each in plan.statistics}
        ranked = [list[RankedRows]() for _ in plan.rankings]
        lowest = least.reshape(plan.clusters, plan.tables)
        with torch.inference_mode():
            for slab in slabs:
                activity = self._activity(batch, valid, found, slab, slabs)
                if len(slabs) == 1:
                    whole = activity
                for statistic in plan.statistics:
                    if isinstance(statistic, DeviceStatistic):
                        name = name_of(statistic)
                        at = plan.layout.addresses(name)
                        counted[name].append(statistic.contribute_on_device(activity, at))
                for each, rows in zip(plan.rankings, ranked, strict=True):
                    given = lowest[:, each.first : each.stop]
                    if isinstance(each.ranking, DeviceRanking):
                        rows.append(each.ranking.candidates_on_device(activity, given, each.k))
                del activity  # or two of them are held
            for statistic in plan.statistics:
                if not isinstance(statistic, DeviceStatistic):
                    name = name_of(statistic)
                    at = plan.layout.addresses(name)
                    counted[name].append(statistic.contribute(on_host(), at))
            for each, rows in zip(plan.rankings, ranked, strict=True):
                if not isinstance(each.ranking, DeviceRanking):
                    given = lowest[:, each.first : each.stop]
                    rows.append(each.ranking.candidates(on_host(), given))
        parts = [added(plan, each, counted[name_of(each)]) for each in plan.statistics]
        candidates = candidates_of(plan, batch, [_by_cluster(rows) for rows in ranked])
        tally = tally_of(plan, valid, parts)
        return DeviceSelection(
            tally, candidates, plan, batch, self._clusters, valid, found, slabs, whole
        )

    def _activity(
        self,
        batch: TokenBatch,
        valid: Bool,
        found: DeviceActivations,
        slab: range,
        slabs: Sequence[range],
    ) -> DeviceActivity:
        """Return the activity in a slab; what was measured of the batch counts with the first."""
        if len(slabs) == 1:
            return device_activity(self._plan, self._clusters, batch, valid, found)
        inside = np.zeros_like(valid)
        inside[slab.start : slab.stop] = valid[slab.start : slab.stop]
        part = within(found, slab)
        if slab is slabs[0]:
            part = replace(part, measured=found.measured)
        return device_activity(self._plan, self._clusters, batch, inside, part)


def _by_cluster(slabs: Sequence[RankedRows]) -> RankedRows:
    """Return the candidates of a ranking in all slabs, in the order of those of a whole batch."""
    if len(slabs) == 1:
        return slabs[0]
    columns = [
        np.concatenate(column) for column in zip(*slabs, strict=True) if column[0] is not None
    ]
    order = np.argsort(columns[0], kind="stable")
    return RankedRows(*(column[order] for column in columns))
