"""Benchmarks whose parts have no tests of their own, run as ``make bench`` runs them."""

from benchmarks.__main__ import main


def test_a_quick_run_goes_through() -> None:
    assert main(["features", "aggregating", "--quick"]) == 0
