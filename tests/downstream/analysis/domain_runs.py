"""A snapshot of a run over rows with domains, and its rows and values for plain recounts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan, make_plan
from consumers.snapshots.snapshots import write_plain
from consumers.statistics.registry import optional_statistics
from downstream.reading.snapshot import Snapshot
from tests import factories

NAMES = ("code", "prose", "", "letters")
GROUPS = (factories.clustering({"a": [(0, 0), (0, 1)], "b": [(0, 3), (1, 0)]}),)
SOURCES = (factories.source(components=6, dropped=(2,)), factories.source("other", components=4))


class Run:
    """The rows of a run, each with its domain, and what is active in them."""

    def __init__(
        self,
        store: Path,
        *,
        statistics: Sequence[str] = ("domains",),
        rankings: Sequence[str] = ("maximum",),
        k: int = 3,
        seed: int = 5,
    ) -> None:
        base = factories.run_record(
            sources=SOURCES, clusterings=GROUPS, rankings=rankings, k=k, bucket_bytes=10**6
        )
        more = optional_statistics(statistics)
        plan = make_plan(replace(base, statistics=(*base.statistics, *more), store=str(store)))
        self.plan: Plan = plan
        self.engine = factories.DenseEngine(plan, density=0.3)
        chance = np.random.default_rng(seed)
        self.batches = [
            replace(batch, domains=tuple(chance.choice(NAMES, len(batch.ids)).tolist()))
            for batch in factories.batches(per_partition=8, rows=8, seed=seed)
        ]
        oracle = Oracle(plan, self.engine)
        for batch in self.batches:
            oracle.add(batch)
        vocabulary = [b"%d " % token for token in range(factories.VOCABULARY)]
        self.manifest = write_plain(plan, oracle.tables(vocabulary), "final", str(store))
        self.snapshot = Snapshot(self.manifest)

    def active(self) -> list[tuple[str, Any, Any]]:
        """Return of each row its domain, the valid tokens and [position, component] activity."""
        found = []
        for batch in self.batches:
            dense, valid = self.engine.dense(batch), batch.mask & (batch.ids != 0)
            for row, domain in enumerate(batch.domains):
                values = np.where(valid[row][:, None], np.maximum(dense[row], 0), 0)
                values[:, SOURCES[0].dropped] = 0
                found.append((domain, valid[row], values))
        return found
