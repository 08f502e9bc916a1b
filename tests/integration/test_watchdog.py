"""A worker that has work and gets no further ends; one that merely waits or works does not."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from consumers.activations.engine import Activations
from consumers.health.limits import Limits
from consumers.plan import Plan
from streams.errors import StallError
from streams.records.corpus import TokenBatch
from streams.transport.client import StoredRecord
from streams.transport.memory.broker import Faults, broker, forget
from tests import factories
from tests.service import Service, make_service


@pytest.fixture
def service(prefix: str, tmp_path: Path) -> Iterator[Service]:
    yield make_service(f"memory://{prefix}", tmp_path, prefix)
    forget(prefix)


@dataclass(frozen=True)
class Slow:
    """An engine that hangs at one batch, or takes its time over every one."""

    plan: Plan
    seconds: float = 0.0
    released: threading.Event | None = None

    def compute(self, batch: TokenBatch, valid: Any) -> Activations:
        time.sleep(self.seconds)
        if self.released is not None and batch.sequence == 3:
            self.released.wait(5)  # a stop waits for the thread of the device
        return factories.DenseEngine(self.plan).compute(batch, valid)


def test_an_activation_worker_whose_device_hangs_ends(service: Service) -> None:
    released = threading.Event()
    stuck = replace(service, engine=Slow(service.plan, released=released), limits=Limits(stall=0.6))
    with pytest.raises(StallError, match=r"no progress for 0\.6 s although \d+ records of tokens"):
        stuck.serve(1, 0)
    released.set()


HANGING = """
import sys, threading
from consumers.health.limits import Limits
from consumers.service.serving import Crew, serve_run
from millrace import cli
from tests.service import make_service
from pathlib import Path

class Hanging:
    def compute(self, batch, valid):
        threading.Event().wait()

def run_program(arguments, own_process):
    service = make_service("memory://hanging", Path(arguments[0]))
    try:
        serve_run(service.plan, service.broker, Crew(activations=1), Hanging, service.progress,
                  until_final=True, limits=Limits(stall=1.0))
    except Exception as error:
        print(error)
        return 1

cli._SECONDS_TO_EXIT = 0.2
cli.run_program = run_program
cli.main()
"""


def test_the_process_of_a_device_that_never_answers_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGING, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "no progress for 1 s" in ended.stdout, ended.stderr
    assert ended.returncode == 1


class Silent(Faults):
    """Delivers no record to any agent."""

    def fetch(self, records: list[StoredRecord]) -> list[StoredRecord]:
        return []


def test_an_aggregate_worker_that_gets_no_record_ends(service: Service, prefix: str) -> None:
    service.serve(1, 0, until=lambda: service.progress.done.batches > 8)
    broker(prefix).faults = Silent()
    with pytest.raises(StallError, match="records of partials"):
        replace(service, limits=Limits(stall=0.6)).serve(0, 1)


def test_workers_without_work_wait(service: Service) -> None:
    began = time.monotonic()
    idle = replace(service, limits=Limits(stall=0.2, incomplete=0.2))
    idle.serve(0, 2, until=lambda: time.monotonic() - began > 1.0)


def test_slow_work_is_neither_a_stall_nor_a_gap(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    slow = replace(
        service, engine=Slow(service.plan, seconds=0.03), limits=Limits(stall=2.0, incomplete=0.1)
    )
    slow.serve(1, 2)
    assert "millrace repair" not in caplog.text
    manifest = slow.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()


def test_lag_and_chains_are_there_for_metrics(service: Service) -> None:
    watched = replace(service, limits=Limits(stall=5.0))

    def seen() -> bool:
        positions = service.progress.positions.values()
        return any(s.lag and not any(s.lag.values()) for s in positions) and any(
            chain == (11, 11, 11, 11) for s in positions for chain in s.chains.values()
        )

    watched.serve(1, 1, until=seen)
