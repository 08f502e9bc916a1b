"""The queue before an agent, which all partitions of its topic share."""

from collections.abc import Callable

from mode.utils.queues import ThrowableQueue


class SharedQueue(ThrowableQueue[object]):
    """Holds no partition back while it is nearly full: whoever delivers waits for room anyway.

    Faust stops fetching a partition whose record finds the queue nearly full, until it has
    emptied. It does not notice records that find it full, so that the other partitions keep it so,
    and the first one waits until they have come to their ends.
    """

    def in_pressure_high_state(self, callback: Callable[[], None]) -> bool:
        """Return False: never."""
        return False
