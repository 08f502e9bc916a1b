"""The storing step: what a cluster dashboard keeps of a batch, against the loops it began with.

``python -m benchmarks.storing``; ``--quick`` for tiny shapes.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.goals import reached
from benchmarks.machine import cores
from benchmarks.references.same import assert_same_stored, assert_same_top, stored_in
from benchmarks.references.storing import (
    Stored,
    TokenMajor,
    empty,
    store_at_once,
    store_copying,
    store_extending,
    store_hoisted,
    token_major,
    usable,
)
from benchmarks.references.top_samples import best_samples
from benchmarks.report import RESULTS, write_report
from benchmarks.storing_batches import Steady, Workload, make, scaled
from benchmarks.storing_profile import Ways, peaks, profile
from benchmarks.timing import Spread, interleaved, per, ratio
from consumers.storage.blocks import Blocks, DenseBatch, Members
from consumers.storage.top_blocks import TopBlocks

BEST = 64
BOUND = "copy of the same bytes"
BLOCKS = "ours: all, as blocks"
NEW = f"{BLOCKS}, into new memory"
CONTIGUOUS = "R1f, rows contiguous"
TOP = f"ours: best {BEST}, steady"

LARGE = {
    ("R0", BLOCKS): 130,
    ("R1f", BLOCKS): 35,
    (BOUND, BLOCKS): 0.75,
    ("R0", TOP): 200,
    ("R1f", TOP): 55,
}
SMALL = {(slow, fast): goal for fast in (BLOCKS, TOP) for slow, goal in (("R0", 60), ("R1f", 15))}
SEED = (
    Workload("100 x 32 x 5 x 128", 100, 32, 5, goals=SMALL),
    Workload("200 x 128 x 10 x 128", 200, 128, 10, goals=LARGE),
)
TINY = (Workload("4 x 3 x 2 x 8", 4, 3, 2, 8, dead=0.2, goals=SMALL),)

# What is done in one step -> the ways without it and with it.
STEPS = {
    "transfers before the loop": ("R0", "R1"),
    "empty clusters at once": ("R1", "R1a"),
    "extend": ("R1a", "R2"),
    "rows contiguous": ("R1f", CONTIGUOUS),
    "blocks in place of lists": (CONTIGUOUS, NEW),
    "memory used again": (NEW, BLOCKS),
    "best 64 in place of all": (BLOCKS, TOP),
}

NOTES = (
    "Sizes are clusters x samples x components per cluster x tokens, float32. 5 % of the "
    "components are dead, the others fire at 1.4 % of tokens. Both sides may use all cores; the "
    "table of threads has one against all.",
    "R0 calls `.cpu()` for each component inside a triple loop, R1 moves the transfers before it, "
    "R1a finds the empty clusters at once, R2 uses `extend` as well; f: and then copies every "
    "cluster's rows together, so that they can be used.",
    "The loops read token-major arrays, as the original makes them, ours feature-major ones: the "
    "product that fills either costs the same. `R1f, rows contiguous` gets sample-major arrays.",
    "Results were asserted equal, bit for bit, over three batches before anything was timed.",
)


def check(workload: Workload, members: Members, base: DenseBatch) -> None:
    """Assert that the references and ours keep the same of several batches, one of them twice."""
    batches = [base, scaled(workload, base, 1), base]
    loops = (store_copying, store_hoisted, store_at_once, store_extending)
    lists = [empty(token_major(base, members).column) for _ in loops]
    blocks, top = Blocks(members), TopBlocks(members, BEST, workload.positions)
    for batch in batches:
        other = token_major(batch, members)
        for store, into in zip(loops, lists, strict=True):
            store(into, other)
        blocks.append(batch)
        top.add(batch)
    for into in lists:
        assert_same_stored(stored_in(blocks, members), usable(into))
    assert_same_top(top, best_samples(batches, members, BEST))


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Every way of storing a batch. steady: what has its turn as TOP."""

    ways: Ways
    steady: Steady

    def timed(self, rounds: int, names: Sequence[str]) -> dict[str, Spread]:
        """Return the seconds of some ways, in turn."""
        return dict(
            interleaved(
                {name: self.ways[name] for name in names},
                rounds,
                warm_up=2,
                after=lambda name, _: self.steady.next() if name == TOP else None,
            )
        )


def candidates(workload: Workload, members: Members, base: DenseBatch) -> Candidates:
    """Return the ways of storing a batch."""
    batch = token_major(base, members)
    steady, blocks = Steady(workload, members, base, BEST), Blocks(members)

    def append() -> None:
        blocks.clear()
        blocks.append(base)

    ways: Ways = {
        "R0": lambda: _loop(store_copying, batch),
        "R1": lambda: _loop(store_hoisted, batch),
        "R1f": lambda: usable(_loop(store_hoisted, batch)),
        "R1a": lambda: _loop(store_at_once, batch),
        "R2": lambda: _loop(store_extending, batch),
        "R2f": lambda: usable(_loop(store_extending, batch)),
        CONTIGUOUS: _on_sample_major(batch),
        BLOCKS: append,
        NEW: lambda: Blocks(members).append(base),
        TOP: steady.add,
        f"ours: best {BEST}, first batch": lambda: TopBlocks(members, BEST, workload.positions).add(
            base
        ),
        BOUND: _copy(base),
    }
    return Candidates(ways, steady)


def threads(shape: str, found: Candidates, rounds: int) -> list[dict[str, Any]]:
    """Return what each way takes with one thread, over what it takes with all."""
    rows = []
    for way in ("R0", "R1f", BLOCKS, BOUND):
        seconds = interleaved(
            {str(count): _with_threads(found.ways[way], count) for count in (1, cores())}, rounds
        )
        one, every = seconds["1"], seconds[str(cores())]
        rows.append({"shape": shape, "way": way, f"one thread / {cores()}": ratio(one, every)})
    torch.set_num_threads(cores())
    return rows


def _with_threads(store: Callable[[], object], count: int) -> Callable[[], object]:
    def run() -> object:
        torch.set_num_threads(count)
        return store()

    return run


def main(quick: bool = False, folder: Path = RESULTS) -> None:
    """Measure all shapes, print the report and write it to ``folder``; tiny ones if ``quick``."""
    torch.set_num_threads(cores())
    rows, goals, steps, peak, spent, parallel = (list[dict[str, Any]]() for _ in range(6))
    for workload in TINY if quick else SEED:
        members, base = make(workload)
        check(workload, members, base)
        shape, found = workload.name, candidates(workload, members, base)
        seconds = found.timed(3 if quick else 9, list(found.ways))
        rows += _rows(shape, seconds)
        goals += reached(shape, seconds, workload.goals)
        steps.append(
            {"shape": shape}
            | {step: ratio(seconds[slow], seconds[fast]) for step, (slow, fast) in STEPS.items()}
            | {"survivors in steady state": found.steady.survivors()}
        )
        peak += peaks(shape, found.ways)
        spent += profile(shape, {way: found.ways[way] for way in ("R0", "R1", "R2f", BLOCKS, TOP)})
        parallel += threads(shape, found, 3 if quick else 5)
    tables = {
        "Goals": goals,
        "What each single optimisation brings": steps,
        "Peak memory": peak,
        "Threads": parallel,
        "Profile": spent,
    }
    path = write_report("storing", rows, notes=NOTES, tables=tables, folder=folder)
    print(path.with_suffix(".md").read_text())


def _loop(store: Callable[[Stored, TokenMajor], None], batch: TokenMajor) -> Stored:
    lists = empty(batch.column)
    store(lists, batch)
    return lists


def _on_sample_major(batch: TokenMajor) -> Callable[[], object]:
    """Return R1f on arrays of the same shape whose rows lie together."""
    arrays = (batch.clusters, batch.components)
    clusters, components = (a.transpose(1, 2).contiguous().transpose(1, 2) for a in arrays)
    given = TokenMajor(clusters, components, batch.column, batch.keys, batch.tokens)
    return lambda: usable(_loop(store_hoisted, given))


def _copy(base: DenseBatch) -> Callable[[], object]:
    """Return a copy of what is alive, by torch's threads, into memory that is there."""
    kept = base.components[base.alive], base.clusters[base.clusters.any(axis=(1, 2))]
    tensors = [(torch.from_numpy(np.empty_like(part)), torch.from_numpy(part)) for part in kept]
    return lambda: [into.copy_(part) for into, part in tensors]


def _rows(shape: str, seconds: dict[str, Spread]) -> Sequence[dict[str, Any]]:
    return [
        {"shape": shape, "way": name, "ms": per(spread, 1e-3)}
        | {f"{slow}/it": ratio(seconds[slow], spread) for slow in ("R0", "R1", "R1f")}
        for name, spread in seconds.items()
    ]


if __name__ == "__main__":
    if "--quick" in sys.argv[1:]:
        with TemporaryDirectory() as temporary:
            main(quick=True, folder=Path(temporary))
    else:
        main()
