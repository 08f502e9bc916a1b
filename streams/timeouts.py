"""The times after which a group, a client or a worker gives up, chosen so that they fit together.

All are in seconds. A session that nobody can serve is refused here, where settings are read, and
not by a client or a broker at each start.
"""

from dataclasses import dataclass

from streams.errors import SettingsError
from streams.transport.client import Client

SESSION = 60.0
LEAST_SESSION = 6.0
"""What Kafka takes by default, and what a worker that computes can keep up with."""

_HEARTBEAT, _REBALANCE, _REQUEST, _MAX_POLL = 3.0, 120.0, 90.0, 1000.0
_FAR = 2_000_000.0  # the protocol counts milliseconds in 32 bits


@dataclass(frozen=True, slots=True)
class Timeouts:
    """What a member of a consumer group is given.

    session: silence after which others get its partitions. heartbeat: between signs of life.
    rebalance: for all members to hand over what they hold. request: for an answer of the broker.
    max_poll: without asking for records, after which a member leaves the group by itself.
    """

    session: float
    heartbeat: float
    rebalance: float
    request: float
    max_poll: float


def timeouts(session: float, stall: float) -> Timeouts:
    """Return the times that go with a session and with a worker's limit of ``stall``, 0 for none.

    Four signs of life fit into a session. A join may be answered only when the session of one that
    is gone is over, so rebalances and requests take longer than that. Who works on a slow batch is
    ended by the watchdog and not by the group.
    """
    return Timeouts(
        session=session,
        heartbeat=min(_HEARTBEAT, session / 4),
        rebalance=max(_REBALANCE, 2 * session),
        request=max(_REQUEST, session + 30.0),
        max_poll=min(_FAR, max(_MAX_POLL, 2 * stall)) if stall else _FAR,
    )


def usual_session(stall: float) -> float:
    """Return the session of a worker that was told none: what it bears is longer than that."""
    return min(SESSION, max(LEAST_SESSION, stall / 3)) if stall else SESSION


def check_session(session: float, stall: float) -> None:
    """Raise ValueError if a worker would end for want of progress while a session is running out.

    Until then nobody is assigned the partitions of a worker that is gone, and nothing moves.
    """
    if 0 < stall <= session:
        raise ValueError(
            f"session = {session:g} and stall = {stall:g}: workers would end before they are given "
            "the partitions of one that is gone; choose a session below stall"
        )


def expect_session(client: Client, session: float) -> None:
    """Raise SettingsError unless the broker takes members with such a session."""
    least, most = client.session_bounds()
    if not least <= session <= most:
        raise SettingsError(
            f"limits.session = {session:g}: the broker takes {least:g} to {most:g} seconds "
            "(its group.min.session.timeout.ms and group.max.session.timeout.ms)"
        )
