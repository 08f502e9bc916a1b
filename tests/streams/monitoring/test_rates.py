import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.monitoring.durations import duration
from streams.monitoring.rates import Rates


def test_nothing_is_known_before_two_moments() -> None:
    rates = Rates()
    assert rates.rate("rows") is None
    rates = rates.after(0.0, {"rows": 5})
    assert rates.rate("rows") is None
    assert rates.after(0.0, {"rows": 9}).rate("rows") is None
    assert rates.after(2.0, {"rows": 9}).rate("rows") == 2.0


def test_only_the_last_minute_counts() -> None:
    rates = Rates(seconds=60)
    for now in range(0, 200, 10):
        rates = rates.after(now, {"rows": 100.0 if now >= 100 else 0.0})
    assert rates.rate("rows") == 0.0
    assert rates.samples[0][0] == 130


def test_the_time_left_follows_from_the_rate() -> None:
    rates = Rates().after(0.0, {"rows": 0}).after(10.0, {"rows": 50})
    assert rates.eta("rows", 100) == 20.0
    assert rates.eta("rows", 0) == 0.0
    assert rates.eta("tokens", 100) is None


@given(st.lists(st.floats(0.1, 30), min_size=2, max_size=200), st.floats(0.1, 1000))
def test_a_steady_rate_is_found_whenever_it_is_looked_at(steps: list[float], rate: float) -> None:
    now, rates = 0.0, Rates(seconds=60)
    for step in steps:
        now += step
        rates = rates.after(now, {"rows": rate * now})
    assert rates.rate("rows") == pytest.approx(rate)
    assert now - rates.samples[0][0] <= 60 + max(steps)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (60, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (90_061, "25h 01m"),
    ],
)
def test_durations_are_read_by_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said
