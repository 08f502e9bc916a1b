"""From a broker's address to a client of it."""

from streams.errors import SettingsError
from streams.transport.client import Client


def connect(url: str) -> Client:
    """Return a client of the broker at ``kafka://host:port[,host:port]`` or ``memory://name``.

    Raises SettingsError for another address and BrokerError if nobody answers there.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "memory" and separator:
        from streams.transport.memory_client import MemoryClient

        return MemoryClient(rest)
    if scheme == "kafka" and rest:
        from streams.transport.kafka_client import KafkaClient

        return KafkaClient(rest)
    raise SettingsError(f"broker {url!r} is no address: take kafka://host:port or memory://name")
