"""Passwords in addresses are found and hidden, and other addresses stay as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.credentials import has_credentials, hidden, without_credentials
from streams.errors import SettingsError
from streams.snapshots.store import open_store, read_manifest
from tests.streams.strategies import quick

SECRET = "hunter2"
WITH = [
    f"s3://key:{SECRET}@bucket/folder",
    f"s3://KEY:ab/{SECRET}/cd@bucket/folder",
    f"ftp://me:{SECRET}@host/folder",
    f"http://me:{SECRET}@proxy:3128",
    f"https://{SECRET}@host/path",
    f"https://host/path?X-Amz-Signature={SECRET}",
    f"https://host/path?a=1&access_token={SECRET}&b=2",
    f"simplecache::s3://key:{SECRET}@bucket/folder",
    f"zip://a.zip::https://me:{SECRET}@host/a.zip",
]
WITHOUT = [
    "s3://bucket/folder",
    "s3://bucket/folder@2",
    "http://minio:9000/bucket@2/folder",
    "abfs://container@account.dfs.core.windows.net/folder",
    "sftp://me@host/folder",
    "kafka://host:9092,other:9092",
    "memory://local",
    "/snapshots/a:b",
    "https://host/path?page=2",
]


@pytest.mark.parametrize("address", WITH)
def test_a_password_is_found_and_never_shown(address: str) -> None:
    assert has_credentials(address)
    assert SECRET not in hidden(address)
    assert SECRET not in without_credentials(f"cannot read {address}: refused")
    assert SECRET not in without_credentials(f"unable to open '{address}' or \"{address}\"")


@pytest.mark.parametrize("address", WITHOUT)
def test_other_addresses_stay_as_they_are(address: str) -> None:
    assert not has_credentials(address)
    assert without_credentials(f"no {address} here") == f"no {address} here" or "@" in address
    assert hidden(address) == address or "@" in address


def test_what_is_left_of_an_address_taken_for_a_path_is_hidden() -> None:
    said = without_credentials(f"there is no file or folder https:/me:{SECRET}@host/text")
    assert said == "there is no file or folder https:/***@host/text"


@quick
@given(
    st.text(
        st.characters(exclude_characters="@ \t\n'\"<>", exclude_categories=("Z", "C")), min_size=8
    )
)
def test_no_password_comes_through(password: str) -> None:
    address = f"s3://key:{password}@bucket/folder"
    assert password not in hidden(address)
    assert password not in without_credentials(f"cannot open {address}: no such bucket")


@pytest.mark.parametrize("reading", [open_store, read_manifest])
def test_a_store_does_not_take_them(reading: object) -> None:
    with pytest.raises(SettingsError, match="AWS_SECRET_ACCESS_KEY") as raised:
        reading(WITH[0])  # type: ignore[operator]
    assert SECRET not in str(raised.value)
    assert "s3://***@bucket/folder" in str(raised.value)
