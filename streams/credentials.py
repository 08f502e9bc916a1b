"""Passwords and tokens in addresses: found, refused, and never shown."""

import re

from streams.errors import SettingsError

_HIDDEN = "***"
# With one slash, too: that is what is left of an address that was taken for a path.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(:/{1,2})([^\s'\"<>]+)")
_HOST_AND_PORT = re.compile(r"[^/@:]*:\d+/")
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;][^=&;#\s]*(?:secret|passw|token|sig|credential|key)[^=&;#\s]*=)[^&;#\s'\"]+"
)


def has_credentials(address: str) -> bool:
    """Return whether an address holds a password (``scheme://user:password@host``) or a token.

    A user alone is none, except in ``http``, where it may be a token.
    """
    _, scheme, rest = _split(address)
    authority = rest.rpartition("@")[0]
    return (
        (":" in authority.split("/")[0] and not _HOST_AND_PORT.match(rest))
        or (_is_http(scheme) and "@" in rest.split("/")[0])
        or _SECRET_PARAMETER.search(rest) is not None
    )


def hidden(address: str) -> str:
    """Return an address as it may be shown: without user, password and tokens."""
    before, scheme, rest = _split(address)
    return before + scheme + ("://" if scheme else "") + _hidden(scheme, rest)


def without_credentials(text: str) -> str:
    """Return a message, of ours or of a library, with the credentials of its addresses hidden."""
    return _SECRET_PARAMETER.sub(
        rf"\g<1>{_HIDDEN}",
        _ADDRESS.sub(lambda found: found[1] + found[2] + _hidden(found[1], found[3]), text),
    )


def expect_no_credentials(address: str, what: str, instead: str) -> None:
    """Raise SettingsError, which shows no part of them, if an address holds credentials."""
    if has_credentials(address):
        raise SettingsError(
            f"{what} {hidden(address)!r} holds a password or token, which records and messages "
            f"would show: {instead}"
        )


def _split(address: str) -> tuple[str, str, str]:
    """Return what stands before the last scheme, the scheme, and what follows it."""
    front, separator, rest = address.rpartition("://")
    if not separator:
        return "", "", address
    scheme = re.split(r"[^A-Za-z0-9+.-]", front)[-1]
    return front[: len(front) - len(scheme)], scheme, rest


def _is_http(scheme: str) -> bool:
    return scheme.lower() in ("http", "https")


def _hidden(scheme: str, rest: str) -> str:
    """Return what follows a scheme; all up to the last "@" is hidden: passwords hold slashes."""
    front, separator, host = rest.rpartition("@")
    secret = ":" in front or (_is_http(scheme) and "@" in rest.split("/")[0])
    shown = f"{_HIDDEN}@{host}" if separator and secret else rest
    return _SECRET_PARAMETER.sub(rf"\g<1>{_HIDDEN}", shown)
