import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SettingsError
from streams.names import check_name, is_name
from tests.streams.strategies import quick


@pytest.mark.parametrize("name", ["a", "0", "gpt2-small_res", "a" * 80, "at-20260102-030405"])
def test_usable_names_are_given_back(name):
    assert check_name(name, "run") == name
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "-a",
        "_a",
        "a b",
        "a/b",
        "..",
        "a.b",
        "a\n",
        "\na",
        "ü",
        "a" * 81,
        "²",
        "a\0",
        "a:b",
    ],
)
def test_other_names_are_refused_with_what_would_do(name):
    assert not is_name(name)
    with pytest.raises(SettingsError) as info:
        check_name(name, "source")
    assert str(info.value).startswith(f"source {name!r} is not a usable name: take up to 80 of a-z")
    assert "\n" not in str(info.value)


@quick
@given(st.one_of(st.text(max_size=9), st.from_regex(r"[a-z0-9._/-]{1,9}")))
def test_a_name_is_safe_in_topics_paths_and_addresses(name):
    if is_name(name):
        assert re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", f"aggregates.{name}-buckets-changelog")
        assert posixpath.normpath(f"/store/{name}/x") == f"/store/{name}/x"
        assert name.isascii()
