"""What to say to those who ask about a broker and have none.

``memory://name`` is a broker inside one program, gone when that ends: another program finds it
empty, which is not the same as a broker that holds nothing.
"""

from streams.errors import BrokerError
from streams.transport.access import BrokerAccess
from streams.transport.client import Client
from streams.transport.connect import connect

ADVICE = (
    "there is no broker: {url} lives inside one program and is gone when that ends; name yours "
    "with --broker kafka://HOST:PORT or MILLRACE_BROKER"
)


def is_absent(broker: BrokerAccess, client: Client) -> bool:
    """Return whether there is nothing but an embedded broker that nobody has used."""
    return broker.is_embedded and not client.topics()


def connect_to_existing(broker: BrokerAccess) -> Client:
    """Return a client of a broker; raise BrokerError where there is none to list anything of."""
    client = connect(broker)
    if is_absent(broker, client):
        raise BrokerError(ADVICE.format(url=broker.address))
    return client
