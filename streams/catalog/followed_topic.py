"""Following a compacted topic: looked at often, read on from where the last look ended."""

from collections.abc import Callable, Mapping

from streams.catalog.corpora import fold
from streams.transport.client import Client


class FollowedTopic:
    """The last value of every wanted key of a topic that has one, as of the last look.

    A look costs one question after the topic's end while nothing is written, whatever the topic
    holds. A topic that does not exist is empty. Used from one thread at a time.
    """

    def __init__(self, topic: str, wanted: Callable[[bytes], bool] = lambda key: True) -> None:
        self._topic = topic
        self._wanted = wanted
        self._exists = False
        self._read_to: Mapping[int, int] = {}
        self._values: dict[bytes, bytes] = {}

    def look(self, client: Client) -> Mapping[bytes, bytes]:
        """Return the values as they are now; raises BrokerError if they cannot be read."""
        self._exists = self._exists or self._topic in client.topics()
        if not self._exists:
            return {}
        ends = client.ends(self._topic)
        if any(ends.get(partition, 0) < end for partition, end in self._read_to.items()):
            # A log that ends before what was read is another log.
            self._read_to, self._values = {}, {}
        for partition, end in ends.items():
            start = self._read_to.get(partition, 0)
            if start < end:
                records = client.read(self._topic, partition, start, end)
                fold(records, self._values, bytes, self._wanted)
                self._read_to = {**self._read_to, partition: end}
        return self._values
