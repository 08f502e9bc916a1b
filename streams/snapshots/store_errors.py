"""What the libraries behind object stores raise that is no OSError, made one.

A store that is out of reach has its own error in each of them, in the middle of a read as well. All
who use a store try again, and then name it, at an OSError.
"""

from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = {
    "adlfs",
    "aiobotocore",
    "aiohttp",
    "azure",
    "botocore",
    "gcsfs",
    "google",
    "paramiko",
    "requests",
    "s3fs",
    "urllib3",
}


@contextmanager
def os_errors() -> Iterator[None]:
    """Let the block raise ConnectionError where a store's library raises something of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if not _LIBRARIES & {kind.__module__.partition(".")[0] for kind in type(error).__mro__}:
            raise
        said = str(error).strip().partition("\n")[0]
        raise ConnectionError(said or type(error).__name__) from error
