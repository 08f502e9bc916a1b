"""Names of corpora, runs, sources, snapshots and clusterings, and paths inside a store.

Names become parts of topics, paths and addresses, so there is one rule for all of them, wherever
they come from: settings, records and manifests declare their fields as ``Name`` or ``InnerPath``,
and decoding refuses everything else.
"""

import re
from typing import Annotated

from streams.bounds import FieldRule
from streams.errors import SettingsError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,199}")
_DEPTH = 8
# What Windows takes for a device, whatever follows a dot.
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10)),
}


def is_name(text: str) -> bool:
    """Return whether ``text`` can be a name."""
    return _NAME.fullmatch(text) is not None and text not in _DEVICES


def check_name(name: str, what: str) -> str:
    """Return ``name``, or raise SettingsError if it cannot name a ``what``."""
    if not is_name(name):
        raise SettingsError(f"{what} {name[:100]!r} is not a usable name: {_NAMES_ARE}")
    return name


def is_inner_path(path: str) -> bool:
    """Return whether ``path`` leads to something inside the folder that it begins in.

    It is relative, with ``/`` between its parts, and each part is a plain name of a file: nothing
    hidden, no ``..``, no address of another place.
    """
    parts = path.split("/")
    return len(parts) <= _DEPTH and all(map(_is_segment, parts))


def _is_segment(part: str) -> bool:
    plain = _SEGMENT.fullmatch(part) is not None and not part.endswith(".")
    return plain and part.split(".")[0].lower() not in _DEVICES


_NAMES_ARE = (
    "take up to 80 of a-z, 0-9, '-' and '_', starting with a letter or digit, and no name of a "
    "device"
)

Name = Annotated[str, FieldRule(is_name, f"no usable name: {_NAMES_ARE}")]
InnerPath = Annotated[str, FieldRule(is_inner_path, "no path of a file inside its folder")]
