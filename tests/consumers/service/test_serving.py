import time
from collections.abc import Callable

import pytest

from consumers.health.progress import Progress
from consumers.service import serving
from consumers.service.serving import LastResort, RunWatch
from streams.errors import BrokerError, SnapshotError
from streams.transport.client import Client
from streams.transport.connect import connect
from tests import factories


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Statuses that the process would have ended with."""
    statuses: list[int] = []
    monkeypatch.setattr("os._exit", statuses.append)
    return statuses


def eventually(holds: Callable[[], bool]) -> bool:
    """Wait until something holds, for as long as a busy machine may take."""
    patience = time.monotonic() + 20
    while not holds() and time.monotonic() < patience:
        time.sleep(0.005)
    return holds()


@pytest.mark.parametrize("failure", [None, SnapshotError("no room")])
def test_a_worker_that_does_not_stop_is_ended_and_says_why(
    ended: list[int], caplog: pytest.LogCaptureFixture, failure: Exception | None
) -> None:
    with LastResort(lambda: failure, 0.02) as last_resort:
        last_resort.leave(1)
        last_resort.leave(1)
        assert eventually(lambda: bool(ended))
    assert ended == [1]
    assert (str(failure) if failure else "still being worked on") in caplog.text


def test_one_that_stops_says_itself_why(ended: list[int]) -> None:
    with LastResort(seconds=0.05) as last_resort:
        last_resort.leave(1)
    time.sleep(0.2)
    assert ended == []


class Looks:
    """Stands for the look at the broker; the second one finds the final snapshot."""

    def __init__(self) -> None:
        self.found: list[bool] = []

    def __call__(self, client: object, plan: object, followed: object) -> object:
        self.found.append(len(self.found) == 1)
        return object() if self.found[-1] else None


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each look found."""
    look = Looks()
    monkeypatch.setattr(serving, "final_manifest", look)
    return look.found


def watch(progress: Progress, seconds: float) -> RunWatch:
    return RunWatch(factories.plan(), "memory://watch", progress, active=True, seconds=seconds)


def test_the_end_is_seen_as_soon_as_something_is_written_here(looks: list[bool]) -> None:
    progress = Progress()
    with watch(progress, 600) as watched:
        assert eventually(lambda: looks == [False])
        time.sleep(0.2)
        assert (looks, watched.done) == ([False], False)
        progress.wrote_part(0.0)
        assert eventually(lambda: watched.done)
    assert looks == [False, True]


def test_the_end_is_seen_after_a_while_when_others_wrote_it(looks: list[bool]) -> None:
    with watch(Progress(), 0.05) as watched:
        assert eventually(lambda: watched.done)
    assert looks == [False, True]


def test_a_broker_that_is_away_at_first_is_asked_again(
    looks: list[bool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = list[str]()

    def connected(address: str) -> Client:
        tries.append(address)
        if len(tries) < 3:
            raise BrokerError("away")
        return connect(address)

    monkeypatch.setattr(serving, "connect", connected)
    with watch(Progress(), 0.01) as watched:
        assert eventually(lambda: watched.done)
    assert (len(tries), looks) == (3, [False, True])
    assert "cannot be seen: away" in caplog.text
