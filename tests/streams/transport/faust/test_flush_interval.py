import pytest

from streams.transport.faust.flush_interval import FlushInterval, steady


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, 1.0), (0.02, 1.0), (0.5, 25.0), (2.4, 120.0), (60.0, 120.0)]
)
def test_flushes_take_their_share_of_the_time_within_bounds(
    seconds: float, expected: float
) -> None:
    assert FlushInterval(0.02, 1.0, 120.0).after(seconds) == pytest.approx(expected)


def test_a_steady_pace_stays() -> None:
    assert [steady(0.2).after(seconds) for seconds in (0.0, 1.0, 1000.0)] == [0.2] * 3
