"""What went wrong, without the paths of the server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.dashboard.problems import said, without_paths
from streams.errors import DamagedPartError, SnapshotError, StoreError

folders = st.lists(
    st.text("abcXYZ019._-", min_size=1, max_size=8).filter(lambda name: name.strip(".")),
    min_size=1,
    max_size=4,
)


@given(folders)
def test_a_path_keeps_its_last_name_alone(names: list[str]) -> None:
    path = "/" + "/".join([*names, "part.parquet"])
    for text in (f"cannot read {path}: gone", f"cannot read '{path}'", f"s3:/{path} is damaged"):
        shown = without_paths(text)
        assert "…/part.parquet" in shown
        assert "/" + "/".join(names) not in shown


def test_the_place_of_the_store_may_hold_anything() -> None:
    error = DamagedPartError("parts/a.parquet", "cannot read /my store (1)/demo/parts/a.parquet: x")
    assert said(error, "/my store (1)") == "cannot read …/a.parquet: x"
    assert "secret" not in said(StoreError("cannot read /secret/x: denied"))
    assert said(SnapshotError("it lacks about.model")) == "it lacks about.model"


@pytest.mark.parametrize("text", ["nobody answers at kafka://host:9092", "1/2 of them", "a / b"])
def test_what_is_no_path_stays(text: str) -> None:
    assert without_paths(text) == text
