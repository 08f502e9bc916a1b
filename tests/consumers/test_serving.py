import time

import pytest

from consumers.serving import LastResort


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Statuses that the process would have ended with."""
    statuses: list[int] = []
    monkeypatch.setattr("consumers.serving.os._exit", statuses.append)
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
