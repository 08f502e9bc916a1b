"""From how to reach a broker to a client of it."""

from streams.transport.access import BrokerAccess, access_to
from streams.transport.client import Client
from streams.transport.prefixed import PrefixedClient


def connect(broker: BrokerAccess | str) -> Client:
    """Return a client of a broker; an address alone stands for one without security and prefix.

    Raises SettingsError for a wrong address or certificate, BrokerError if nobody answers there,
    and AccessError, which is one, if we are not let in.
    """
    access = access_to(broker)
    client = _client(access)
    return PrefixedClient(client, access.prefix) if access.prefix else client


def _client(access: BrokerAccess) -> Client:
    if access.is_embedded:
        from streams.transport.memory.client import MemoryClient

        return MemoryClient(access.place)
    from streams.transport.kafka.client import KafkaClient

    return KafkaClient(access.place, access.security)
