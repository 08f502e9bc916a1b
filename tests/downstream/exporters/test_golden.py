"""Exports of the small snapshot hold what they held when they were looked at."""

import json

import pytest

from downstream.reading.snapshot import Snapshot
from tests.downstream.exporters.conftest import Written
from tests.downstream.exporters.decoded import GOLDEN, decoded


@pytest.mark.parametrize("format", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_an_export_holds_what_is_in_its_golden_file(
    format: str, attached: Snapshot, written: Written
) -> None:
    found = json.loads(json.dumps(decoded(written(format, attached))))
    assert found == json.loads((GOLDEN / f"{format}.json").read_text())
