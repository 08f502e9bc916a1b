"""Packages that a process does without, although they are installed."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _LeftOut(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ModuleNotFoundError for the package."""
        if fullname == self._package:
            raise ModuleNotFoundError(f"{fullname} is left out of this process", name=fullname)
        return None


def leave_out(package: str) -> None:
    """Have a package count as not installed from now on, unless it is imported already.

    pyarrow imports pandas, where there is one, when it converts its first array: half a second and
    30 MB that a server of pages has no use for. It cannot be told not to, and remembers for good
    that there is none; so this is for a process of the program's own.
    """
    if package not in sys.modules:
        sys.meta_path.insert(0, _LeftOut(package))
