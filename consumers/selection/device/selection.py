"""Selection on a device: only tallies, candidates and the rows of winners cross to the host."""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from consumers.activations.device_activations import DeviceActivations
from consumers.plan import Plan
from consumers.rankings.ranking import Candidates as RankedRows
from consumers.rankings.ranking import DeviceRanking
from consumers.selection.batch_tally import BatchTally, tally_of
from consumers.selection.device.member_rows import member_rows
from consumers.selection.device.membership import DeviceClusters, device_activity
from consumers.selection.selection import Candidates, candidates_of
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.device.activity import DeviceActivity
from consumers.statistics.statistic import DeviceStatistic, name_of
from streams.arrays import F32, AnyArray, Bool
from streams.records.corpus import TokenBatch
from streams.records.hits import Hits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class DeviceSelection:
    """A batch's tally and candidates on the host, and the activity on the device."""

    tally: BatchTally
    candidates: Candidates
    plan: Plan
    batch: TokenBatch
    clusters: DeviceClusters
    activity: DeviceActivity

    def with_rows(self, which: AnyArray) -> Hits:
        """Return the candidates ``which`` as hits, with the rows of every member."""
        candidates, batch = self.candidates, self.batch
        row, table = candidates.row[which], candidates.table[which]
        cluster = (table // np.uint32(self.plan.tables)).astype(np.int64)
        rows, member, position, value = member_rows(self.clusters, self.activity, cluster, row)
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


class DeviceSelector:
    """Selects for a run on one device; says once, in the log, what it has to do on the host."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self._plan = plan
        self._clusters = DeviceClusters.of(plan, device)
        counted, ranked = plan.statistics, plan.rankings
        names = [name_of(each) for each in counted if not isinstance(each, DeviceStatistic)]
        names += [each.name for each in ranked if not isinstance(each.ranking, DeviceRanking)]
        if names:
            log.warning(
                "%s have no form for %s: what they read is brought to the host for each batch",
                ", ".join(names),
                device.type,
            )

    def select(
        self, batch: TokenBatch, valid: Bool, found: DeviceActivations, least: F32
    ) -> DeviceSelection:
        """Return what a batch adds; bit for bit that of ``selection.select``, errors as there."""
        plan, host = self._plan, list[ClusterActivity]()
        with torch.inference_mode():
            activity = device_activity(plan, self._clusters, batch, valid, found)

            def on_host() -> ClusterActivity:
                if not host:
                    host.append(activity.to_host())
                return host[0]

            parts = list[Contributions]()
            for statistic in plan.statistics:
                at = plan.layout.addresses(name_of(statistic))
                parts.append(
                    statistic.contribute_on_device(activity, at)
                    if isinstance(statistic, DeviceStatistic)
                    else statistic.contribute(on_host(), at)
                )
            lowest, ranked = least.reshape(plan.clusters, plan.tables), list[RankedRows]()
            for each in plan.rankings:
                given, ranking = lowest[:, each.first : each.stop], each.ranking
                ranked.append(
                    ranking.candidates_on_device(activity, given, each.k)
                    if isinstance(ranking, DeviceRanking)
                    else ranking.candidates(on_host(), given)
                )
        tally, candidates = tally_of(plan, valid, parts), candidates_of(plan, batch, ranked)
        return DeviceSelection(tally, candidates, plan, batch, self._clusters, activity)
