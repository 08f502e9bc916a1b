"""Addresses of pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.rendering.addresses import cluster_address, clustering_address, parse, run_address

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(anything, anything, anything)
def test_every_label_survives(run: str, clustering: str, label: str) -> None:
    address = cluster_address(run, clustering, 0, label)
    assert parse(address) == (run, clustering, label)
    assert address.isascii()
    assert not {"", ".", ".."} & set(address.removeprefix("/").split("/"))


@given(anything, anything)
def test_a_list_is_told_from_a_cluster(run: str, clustering: str) -> None:
    assert parse(clustering_address(run, clustering)) == (run, clustering, None)


def test_plain_names_read_plainly() -> None:
    assert cluster_address("demo", "features/sae", 0, "12") == "/runs/demo/features/sae/12"
    asked = clustering_address("demo", "groups", 3, q="a b")
    assert asked == "/runs/demo/groups/?q=a+b&iteration=3"
    assert parse(run_address("demo")) == ("demo", "", None)


@pytest.mark.parametrize("path", ["/runs/", "/runs//", "/runs/%ff/%zz/x"])
def test_broken_paths_are_read_all_the_same(path: str) -> None:
    assert len(parse(path)) == 3
