import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SettingsError
from streams.timeouts import check_session, expect_session, timeouts, usual_session
from streams.transport.connect import connect

sessions = st.floats(6, 86_400)
stalls = st.one_of(st.just(0.0), st.floats(0.1, 1e9))


@given(sessions, stalls)
def test_the_times_of_a_session_fit_together(session: float, stall: float):
    found = timeouts(session, stall)
    assert found.session == session
    assert 0 < found.heartbeat <= session / 4
    assert found.session < found.request
    assert 2 * session <= found.rebalance
    assert found.max_poll >= min(2 * stall, 2e6) >= 0
    assert max(found.max_poll, found.rebalance, found.request) * 1000 < 2**31


@given(stalls)
def test_a_session_that_nobody_chose_is_shorter_than_what_a_worker_bears(stall: float):
    session = usual_session(stall)
    assert 6 <= session <= 60
    if stall == 0 or stall > 6:
        check_session(session, stall)


def test_usual_sessions():
    assert [usual_session(stall) for stall in (0, 300, 90, 1)] == [60, 60, 30, 6]


def test_a_worker_without_a_limit_is_never_thrown_out_for_a_slow_batch():
    assert timeouts(60, 0).max_poll > 14 * 86_400
    assert timeouts(60, 5000).max_poll == 10_000


@pytest.mark.parametrize(("session", "stall"), [(120.0, 120.0), (120.0, 7.0)])
def test_a_session_as_long_as_a_stall_is_refused(session: float, stall: float):
    with pytest.raises(ValueError, match=r"session = 120 and stall"):
        check_session(session, stall)
    check_session(session, 0.0)


def test_an_embedded_broker_takes_any_session():
    expect_session(connect("memory://sessions"), 0.01)
    expect_session(connect("memory://sessions"), 1e6)


class Bounded:
    """A broker's client that knows how long sessions may be."""

    def session_bounds(self) -> tuple[float, float]:
        return 6.0, 1800.0


@pytest.mark.parametrize("session", [5.9, 1801.0])
def test_a_session_that_the_broker_does_not_take_is_named_with_what_it_takes(session: float):
    with pytest.raises(SettingsError, match=rf"= {session:g}: the broker takes 6 to 1800 seconds"):
        expect_session(Bounded(), session)  # type: ignore[arg-type]


@pytest.mark.parametrize("session", [6.0, 1800.0])
def test_the_bounds_themselves_are_taken(session: float):
    expect_session(Bounded(), session)  # type: ignore[arg-type]
