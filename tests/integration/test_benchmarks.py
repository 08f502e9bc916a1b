"""The benchmarks that need a broker and workers in processes, run as ``make bench`` runs them."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("name", ["memory", "scale_out"])
def test_a_quick_run_goes_through(name: str, native_cache: Path) -> None:
    assert main([name, "--quick"]) == 0
