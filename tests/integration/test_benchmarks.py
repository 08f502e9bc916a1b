"""The benchmark that needs a broker and workers in processes, run as ``make bench`` runs it."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main


@pytest.mark.kafka
@pytest.mark.slow
def test_a_quick_run_goes_through(native_cache: Path) -> None:
    assert main(["scale_out", "--quick"]) == 0
