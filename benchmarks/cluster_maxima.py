"""Cluster maxima from sparse activations, against a loop over clusters.

``python -m benchmarks.cluster_maxima``; ``--quick`` for a tiny shape.
"""

import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.goals import reached
from benchmarks.machine import cores
from benchmarks.references.cluster_maxima import loop_over_clusters
from benchmarks.report import RESULTS, write_report
from benchmarks.timing import Spread, interleaved, per, ratio
from consumers.activations.engine import Activations
from consumers.plan import Plan, make_plan
from consumers.selection.membership import ClusterTokens, cluster_tokens, runs_of
from streams.records.runs import Clustering, Model, RunRecord, Source

CONTEXT = 128
LOOP, OURS, WHOLE = "loop over clusters", "ours", "ours, with the runs it starts from"


@dataclass(frozen=True, slots=True)
class Case:
    """tokens x components at a density, each component in one of the clusters."""

    clusters: int
    tokens: int = 4096
    components: int = 16384
    density: float = 0.0033
    goals: Mapping[tuple[str, str], float] = field(default_factory=dict)


CASES = (
    Case(200, goals={(LOOP, OURS): 800, (LOOP, WHOLE): 800}),
    Case(2000, goals={(LOOP, OURS): 250, (LOOP, WHOLE): 250}),
)
TINY = (Case(5, 256, 40, 0.05),)

NOTES = (
    "Milliseconds per batch, float32. The loop takes each cluster's columns out of the dense array "
    "and their maximum. Ours starts from the engine's non-zeros, sorted by component; the runs "
    "they are turned into, by sign and threshold, are also what counting and selection start from.",
    "Results were asserted equal, bit for bit, before anything was timed.",
)


def plan_of(case: Case, seed: int = 0) -> Plan:
    """Return the plan of a run whose components are dealt to clusters at random."""
    random = np.random.default_rng(seed)
    cluster = np.sort(random.integers(0, case.clusters, case.components))
    clustering = Clustering(
        name="groups",
        iteration=0,
        content="0",
        labels=tuple(str(number) for number in range(case.clusters)),
        sizes=np.bincount(cluster, minlength=case.clusters).astype(np.int32),
        source=np.zeros(case.components, np.int32),
        index=random.permutation(case.components).astype(np.int32),
        coactivation=False,
    )
    source = Source("sae", "dictionary", "drawn", "0", "h", case.components, singles=False)
    return make_plan(
        RunRecord(
            name="clusters",
            corpus="text",
            partitions=1,
            context=CONTEXT,
            model=Model("drawn", "0", 2),
            sources=(source,),
            clusterings=(clustering,),
            shards=1,
            store="nowhere",
        )
    )


def drawn(case: Case, seed: int = 1) -> tuple[Activations, Tensor]:
    """Return random activations, sparse and as [token, component]."""
    random = np.random.default_rng(seed)
    values = np.zeros((case.components, case.tokens), np.float32)
    fires = random.random(values.shape) < case.density
    values[fires] = random.exponential(1, int(fires.sum())).astype(np.float32) + np.float32(1e-6)
    component, token = np.nonzero(values)
    row, position = (axis.astype(np.int32) for axis in np.divmod(token, CONTEXT))
    sparse = Activations(component, row, position, values[component, token])
    return sparse, torch.from_numpy(np.ascontiguousarray(values.T))


def dense(found: ClusterTokens, tokens: int) -> Tensor:
    """Return cluster maxima in the form of the reference, [token, cluster]."""
    made = np.zeros((tokens, len(found.first) - 1), np.float32)
    made[found.token, np.repeat(np.arange(made.shape[1]), np.diff(found.first))] = found.activity
    return torch.from_numpy(made)


def measure(case: Case, rounds: int) -> dict[str, Spread]:
    """Return milliseconds of both sides, after asserting that they agree."""
    plan = plan_of(case)
    sparse, values = drawn(case)
    first, members = plan.member_first, plan.members
    groups = [members[a:b].tolist() for a, b in itertools.pairwise(first)]
    runs = runs_of(plan, sparse, CONTEXT)
    ours = cluster_tokens(first, members, runs, case.tokens)
    assert dense(ours, case.tokens).equal(loop_over_clusters(values, groups))
    seconds = interleaved(
        {
            LOOP: lambda: loop_over_clusters(values, groups),
            OURS: lambda: cluster_tokens(first, members, runs, case.tokens),
            WHOLE: lambda: cluster_tokens(
                first, members, runs_of(plan, sparse, CONTEXT), case.tokens
            ),
        },
        rounds,
        warm_up=2,
    )
    return {name: per(spread, 1e-3) for name, spread in seconds.items()}


def main(quick: bool = False, folder: Path = RESULTS) -> None:
    """Measure all cases, print the report and write it to ``folder``; a tiny one if ``quick``."""
    torch.set_num_threads(cores())
    rows, goals = list[dict[str, Any]](), list[dict[str, Any]]()
    for case in TINY if quick else CASES:
        found = measure(case, 3 if quick else 7)
        name = f"{case.clusters} clusters, {case.tokens} x {case.components}, {case.density:.2%}"
        rows += [
            {"shape": name, "way": way, "ms": spread, "loop/it": ratio(found[LOOP], spread)}
            for way, spread in found.items()
        ]
        goals += reached(name, found, case.goals)
    tables = {"Goals": goals}
    path = write_report("cluster_maxima", rows, notes=NOTES, tables=tables, folder=folder)
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    if "--quick" in sys.argv[1:]:
        with TemporaryDirectory() as temporary:
            main(quick=True, folder=Path(temporary))
    else:
        main()
