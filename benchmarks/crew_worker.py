"""One worker of a run in a process of its own, over drawn activations; no torch.

``python -m benchmarks.crew_worker`` is started by ``crew`` and prints what it took as JSON.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.replay import DrawnEngine
from consumers.activations.engine import Activations, Engine
from consumers.health.progress import Progress
from consumers.plan import make_plan
from consumers.service.allocation import share
from streams.arrays import Bool
from streams.catalog.runs import get_run
from streams.records.corpus import TokenBatch
from streams.transport.connect import connect

ACTIVATIONS, AGGREGATES = "activations", "aggregates"


@dataclass(slots=True)
class Clocked:
    """Another engine's results after a fixed time, as if a device were computing meanwhile.

    done: when each batch was, in seconds of the clock.
    """

    engine: Engine
    latency: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    done: list[float] = field(default_factory=list)

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return the engine's activations, ``latency`` seconds after it was asked."""
        begun = self.clock()
        found = self.engine.compute(batch, valid)
        self.sleep(max(0.0, self.latency - (self.clock() - begun)))
        self.done.append(self.clock())
        return found


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker took.

    at_start and peak: bytes of resident memory, with everything imported and at the most.
    processor: seconds of processor time since its first record. done: when each batch was
    computed, in seconds since 1970.
    """

    role: str
    at_start: int
    peak: int
    processor: float
    done: list[float]


@dataclass(slots=True)
class Begun:
    """A clock for ``Progress``, which asks it at every record; the first time it notes processor
    time, too."""

    processor: float | None = None

    def __call__(self) -> float:
        """Return seconds since 1970."""
        if self.processor is None:
            self.processor = time.process_time()
        return time.time()


def main() -> None:
    """Serve one worker until the run's final snapshot is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=(ACTIVATIONS, AGGREGATES))
    parser.add_argument("broker")
    parser.add_argument("run")
    parser.add_argument("--l0", type=float, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    if given.role == AGGREGATES:
        share(os.environ)  # as ``millrace aggregates`` does, before Arrow is imported
    from consumers.service.serving import Crew, serve_run

    plan = make_plan(get_run(connect(given.broker), given.run))
    engine = Clocked(DrawnEngine(plan.components, given.l0), given.latency)
    crew = Crew(activations=1) if given.role == ACTIVATIONS else Crew(aggregates=1)
    at_start, begun = resident("VmRSS"), Begun()
    serve_run(plan, given.broker, crew, lambda: engine, Progress(clock=begun), until_final=True)
    processor = time.process_time() - (begun.processor or 0.0)
    peak = resident("VmHWM")
    taken = Taken(given.role, at_start, peak, processor, engine.done)
    json.dump(asdict(taken), sys.stdout)


def resident(field: str) -> int:
    """Return the bytes that the system states of this process: VmRSS now, VmHWM at the most.

    A maximum that ``getrusage`` gives begins with that of the process which started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


if __name__ == "__main__":
    main()
