"""Names of corpora, runs, sources and clusterings: safe in topics, paths and addresses."""

import re

from streams.errors import SettingsError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")


def is_name(text: str) -> bool:
    """Return whether ``text`` can be a name."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str, what: str) -> str:
    """Return ``name``, or raise SettingsError if it cannot name a ``what``."""
    if not is_name(name):
        raise SettingsError(
            f"{what} {name!r} is not a usable name: take up to 80 of a-z, 0-9, '-' and '_', "
            "starting with a letter or digit"
        )
    return name
