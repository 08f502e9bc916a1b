"""The exporter of docs/adding-an-exporter.md works as it stands there."""

import json
import re
from pathlib import Path
from typing import Any

from downstream.exporters.exporting import export
from downstream.reading.snapshot import Snapshot

PAGE = Path(__file__).parents[3] / "docs" / "adding-an-exporter.md"


def test_the_example_of_the_page_is_an_exporter(many: Snapshot, tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    names: dict[str, Any] = {"__name__": "words"}
    exec(program, names)
    done = export(names["WordLists"](), many, tmp_path / "out", {"batch": 16, "examples": 3})
    assert done.notes == ["peaks are of at most 3 examples"]
    lines = [
        json.loads(line)
        for number in range(3)
        for line in (tmp_path / "out" / f"words-{number}.jsonl").read_text().splitlines()
    ]
    assert [line["feature"] for line in lines] == list(range(40))
    for line in lines:
        examples = many.feature(line["feature"]).examples(k=3)
        assert sum(number for _, number in line["peaks"]) == len(examples)
