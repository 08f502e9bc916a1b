"""Benchmarks whose parts have no tests of their own, run as ``make bench`` runs them."""

import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize("name", ["features", "snapshots"])
def test_a_quick_run_goes_through(name: str) -> None:
    assert main([name, "--quick"]) == 0
