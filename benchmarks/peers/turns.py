"""The tools at one shape and number of samples, each between two runs of Millrace."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.peers.comparing import Compared, row
from benchmarks.peers.environments import EnvironmentFailed, environment
from benchmarks.peers.job import Found, Job
from benchmarks.peers.peers import RUNS, Peer, Variant, due
from benchmarks.peers.processes import Millrace, ProcessFailed, measured
from benchmarks.peers.store import keep
from benchmarks.shapes import Shape, build, token_rows

WARM_UP = 128
"""Rows of Millrace's first run, which counts for nothing."""


@dataclass
class Point:
    """A shape and a number of samples. limit: seconds for one measurement of a tool."""

    shape: Shape
    samples: int
    folder: Path
    limit: float
    failures: list[str] = field(default_factory=list)

    def measure(self, peers: Sequence[Peer], store: Path) -> None:
        """Measure the tools that are due here; what fails is noted and the rest goes on."""
        wanted = [(peer, v) for peer in peers for v in due(peer, self.shape.name, self.samples)]
        if not wanted:
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            place = Path(name).resolve()
            job = self._job(place)
            with Millrace(place) as millrace:
                turns = _Turns(job, millrace, place)
                turns.ours(1, WARM_UP)
                for peer, variant in wanted:
                    try:
                        one = turns.compared(peer, variant, self.limit)
                    except (EnvironmentFailed, ProcessFailed) as error:
                        self.failures.append(
                            f"{peer.name} at {self.shape.name}, {self.samples} samples: {error}"
                        )
                        continue
                    keep(store, one)
                    print(json.dumps(row(one), default=lambda spread: spread.values), flush=True)

    def _job(self, place: Path) -> Job:
        built = build(self.shape)
        tokens = place / "tokens.npy"
        np.save(tokens, token_rows(self.shape, self.samples, seed=1).astype(np.int64))
        return Job(
            model=str(built.model.resolve()),
            dictionary=str(built.dictionary.resolve()),
            tokens=str(tokens),
            output="",
            shape=asdict(self.shape),
            rows=self.samples,
            variant="",
        )


@dataclass
class _Turns:
    """Millrace's runs; one after a tool is the one before the next with the same k."""

    job: Job
    millrace: Millrace
    place: Path
    last: tuple[int, tuple[Found, ...]] | None = None

    def ours(self, k: int, rows: int) -> Found:
        output = _empty(self.place / "millrace")
        return self.millrace.measured(replace(self.job, output=output, amount=k, rows=rows))

    def compared(self, peer: Peer, variant: Variant, limit: float) -> Compared:
        python = environment(peer.name)
        before = self.last[1] if self.last and self.last[0] == peer.k else self._some(peer.k)
        self.last = None
        mine = replace(
            self.job,
            output=_empty(self.place / peer.name),
            variant=variant.options,
            amount=variant.amount[self.job.shape["name"]],
        )
        found = measured(python, peer.module, mine, self.place, limit)
        after = self._some(peer.k)
        self.last = (peer.k, after)
        return Compared(
            peer.name,
            variant.options,
            variant.more,
            variant.without,
            self.job.shape["name"],
            self.job.rows,
            found,
            (*before, *after),
        )

    def _some(self, k: int) -> tuple[Found, ...]:
        return tuple(self.ours(k, self.job.rows) for _ in range(RUNS[self.job.shape["name"]]))


def _empty(folder: Path) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return str(folder)
