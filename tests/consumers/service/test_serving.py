import time

import pytest

from consumers.health.progress import Progress
from consumers.service import serving
from consumers.service.serving import LastResort, Watch
from tests import factories


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Statuses that the process would have ended with."""
    statuses: list[int] = []
    monkeypatch.setattr("consumers.service.serving.os._exit", statuses.append)
    return statuses


def test_a_failed_worker_that_does_not_stop_is_ended(ended: list[int]):
    with LastResort(0.02) as last_resort:
        last_resort.leave(1)
        last_resort.leave(1)
        time.sleep(0.2)
    assert ended == [1]


def test_one_that_stops_says_itself_why(ended: list[int]):
    with LastResort(0.05) as last_resort:
        last_resort.leave(1)
    time.sleep(0.2)
    assert ended == []


def looks(
    monkeypatch: pytest.MonkeyPatch, progress: Progress, seconds: float, *, wrote: bool
) -> list[bool]:
    """Return the looks at the broker in a while; the second one finds the final snapshot."""
    found: list[bool] = []

    def look(client: object, plan: object, followed: object) -> object:
        found.append(len(found) == 1)
        return object() if found[-1] else None

    monkeypatch.setattr(serving, "final_manifest", look)
    with Watch(factories.plan(), "memory://watch", progress, active=True, seconds=seconds) as watch:
        time.sleep(0.2)
        assert len(found) == (1 if seconds > 1 else 2)
        if wrote:
            progress.wrote_part(0.0)
            time.sleep(0.2)
        assert watch.done == found[-1]
    return found


def test_the_end_is_seen_as_soon_as_something_is_written_here(monkeypatch: pytest.MonkeyPatch):
    assert looks(monkeypatch, Progress(), 60, wrote=True) == [False, True]
    assert looks(monkeypatch, Progress(), 60, wrote=False) == [False]


def test_the_end_is_seen_after_a_while_when_others_wrote_it(monkeypatch: pytest.MonkeyPatch):
    assert looks(monkeypatch, Progress(), 0.05, wrote=False) == [False, True]
