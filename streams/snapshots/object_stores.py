"""Object stores as file systems: no cached listings, no new buckets, errors that are OSErrors."""

from functools import cache
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl")
_S3 = ("s3", "s3a")


def opened(address: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it.

    Listings of object stores are not kept: others write there, too. Raises ValueError and
    ImportError as fsspec does.
    """
    kind, _ = fsspec.core.split_protocol(address)
    if kind in _S3:
        s3 = _s3()
        return s3(use_listings_cache=False), s3._strip_protocol(address)
    options = {"use_listings_cache": False} if kind in OBJECT_STORES else {}
    files, path = fsspec.core.url_to_fs(address, **options)
    return files, path


def is_object_store(files: Any) -> bool:
    """Return whether a file system has buckets and keys instead of folders."""
    names = files.protocol if isinstance(files.protocol, tuple | list) else (files.protocol,)
    return any(name in OBJECT_STORES for name in names)


def address_of(files: Any, path: str) -> str:
    """Return a path as people can use it: with its scheme, unless it is one of this machine."""
    return path if isinstance(files, LocalFileSystem) else str(files.unstrip_protocol(path))


@cache
def _s3() -> Any:
    """Return s3fs' file system whose errors of the network and of credentials are OSErrors."""
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError
    from fsspec.asyn import sync_wrapper
    from s3fs import S3FileSystem

    class S3(S3FileSystem):  # type: ignore[misc]
        async def _call_s3(self, *arguments: Any, **named: Any) -> Any:
            try:
                return await super()._call_s3(*arguments, **named)
            except (NoCredentialsError, PartialCredentialsError) as error:
                raise PermissionError(f"{error}: set AWS_ACCESS_KEY_ID and others") from error
            except BotoCoreError as error:
                raise ConnectionError(str(error)) from error

        call_s3 = sync_wrapper(_call_s3)  # what open files call

    return S3
