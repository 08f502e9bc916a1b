"""Where a broker is and how to reach it: made once from settings, handed to every client."""

import re
from dataclasses import dataclass

from streams.credentials import has_credentials, hidden
from streams.errors import SettingsError
from streams.transport.security import OPEN, Security

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
# With one of these in it, our own names could make two prefixes meet: "a." and "a.tokens.".
_OUR_STEMS = ("tokens.", "partials.", "activations.", "aggregates.")


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """A broker at ``kafka://host:port[,host:port]`` or ``memory://name``.

    prefix: what every topic, group and member id of ours begins with there; who has another one
    sees nothing of it. Raises SettingsError for another address, one that holds a password, or a
    prefix that cannot begin a topic's name.
    """

    address: str
    prefix: str = ""
    security: Security = OPEN

    def __post_init__(self) -> None:
        if "@" in self.address or has_credentials(self.address):
            raise SettingsError(
                f"broker {_shown(self.address)!r}: leave user and password out of the address, "
                "which messages show: set kafka.user and kafka.password, or "
                "MILLRACE_KAFKA__USER and MILLRACE_KAFKA__PASSWORD_FILE"
            )
        scheme, separator, rest = self.address.partition("://")
        if not separator or scheme not in ("kafka", "memory") or (scheme == "kafka" and not rest):
            raise SettingsError(
                f"broker {_shown(self.address)!r} is no address: take kafka://host:port or "
                "memory://name"
            )
        check_prefix(self.prefix)

    @property
    def is_embedded(self) -> bool:
        """Whether it is the broker inside this process, which nobody else can reach."""
        return self.address.startswith("memory://")

    @property
    def place(self) -> str:
        """``host:port[,host:port]`` of Kafka, the name of an embedded broker."""
        return self.address.partition("://")[2]

    def full(self, name: str) -> str:
        """Return the name that a topic, group or member of ours has on the broker."""
        return self.prefix + name

    def own(self, full: str) -> str:
        """Return our name of what has a name on the broker; another's name stays as it is."""
        return full.removeprefix(self.prefix)


def access_to(broker: BrokerAccess | str) -> BrokerAccess:
    """Return how to reach a broker; an address alone means nothing but the address."""
    return BrokerAccess(broker) if isinstance(broker, str) else broker


def check_prefix(prefix: str) -> str:
    """Return ``prefix``, or raise SettingsError if names on a broker cannot begin with it."""
    if not prefix:
        return prefix
    if not _PREFIX.fullmatch(prefix):
        raise SettingsError(
            f"prefix {prefix!r} is not usable: take up to 80 of A-Z, a-z, 0-9, '.', '-' and '_', "
            "starting with a letter or digit, such as team-a."
        )
    if stem := next((stem for stem in _OUR_STEMS if stem in prefix), None):
        raise SettingsError(f"prefix {prefix!r} is not usable: our own topics begin with {stem!r}")
    return prefix


def _shown(address: str) -> str:
    if "@" not in address:
        return hidden(address)
    scheme, separator, rest = address.partition("://")
    host = (rest or scheme).rpartition("@")[2]
    return f"{scheme}://***@{host}" if separator else f"***@{host}"
