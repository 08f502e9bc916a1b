"""Reading files of this machine that may be anything: a device, a pipe, a link, endless.

Whoever names a file means its bytes, so only regular files are opened, and never more is read than
was asked for.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would be waited for
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class NotRegularError(OSError):
    """What was named is no regular file, or not one inside its folder."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(0, reason, str(path))


class TooLargeError(OSError):
    """A file has more bytes than its kind ever needs."""

    def __init__(self, path: str | Path, most: int) -> None:
        super().__init__(0, f"it has more than the {most:,} bytes that are read", str(path))


def open_regular(path: str | Path, *, links: bool = True) -> BinaryIO:
    """Open a regular file for reading; raises NotRegularError at once for anything else.

    links: whether the path itself may be a link.
    """
    # Looked at before it is opened as well, since opening some devices already does something.
    _expect_regular(path, os.stat(path) if links else os.lstat(path))
    number = os.open(path, _FLAGS | _NO_WAIT | (0 if links else _NO_LINK))
    try:
        _expect_regular(path, os.fstat(number))
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_bounded(path: str | Path, most: int, *, links: bool = True) -> bytes:
    """Return the bytes of a regular file; raises TooLargeError if there are more than ``most``."""
    with open_regular(path, links=links) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise TooLargeError(path, most)
    return data


def expect_inside(root: str, path: str) -> None:
    """Raise NotRegularError if a link on the way from a folder leads to ``path`` elsewhere."""
    folder = os.path.dirname(path)
    straight = os.path.join(os.path.realpath(root), os.path.relpath(folder, root))
    if os.path.realpath(folder) != os.path.normpath(straight):
        raise NotRegularError(path, "a link on the way to it leads out of the store")


def _expect_regular(path: str | Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISLNK(found.st_mode):
        raise NotRegularError(path, "it is a link: name the file that it leads to")
    if not stat.S_ISREG(found.st_mode):
        raise NotRegularError(path, "it is a device, pipe or socket and no regular file")
