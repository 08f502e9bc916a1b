"""Errors that mean the Hugging Face hub is out of reach, of its many libraries."""

from collections.abc import Iterator

_CLASSES = {
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
    "LocalEntryNotFoundError",
    "MaxRetryError",
    "OfflineModeIsEnabled",
    "ProxyError",
    "ReadTimeout",
}
_PHRASES = (
    "couldn't connect to",
    "client has been closed",
    "couldn't reach",
    "outgoing traffic has been disabled",
)
_UNREACHABLE = "the Hugging Face hub cannot be reached and its cache here does not hold it"


def out_of_reach(error: BaseException) -> str | None:
    """Return one clause that says so if the hub could not be asked, None for other errors."""
    for one in _chain(error):
        said = str(one).lower()
        if type(one).__name__ in _CLASSES or any(phrase in said for phrase in _PHRASES):
            return _UNREACHABLE
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those behind it."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
