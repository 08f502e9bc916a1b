"""The example of docs/adding-a-ranking.md, taken from the page, through the whole service."""

import re
from pathlib import Path

from consumers.rankings.ranking import Ranking
from consumers.rankings.registry import RANKINGS, rankings
from streams.snapshots.table_reading import read_table
from tests.service import make_service

PAGE = Path(__file__).parents[3] / "docs" / "adding-a-ranking.md"


def ranking_of_the_page() -> Ranking:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, type[Ranking]] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names["Earliest"]()


def test_a_registered_ranking_has_its_table_in_a_snapshot_that_equals_the_oracle(tmp_path: Path):
    known = (*RANKINGS, ranking_of_the_page())
    named = rankings(("random=2", "earliest=3", "maximum"), 2, known)
    service = make_service("memory://toy", tmp_path, rankings=named, known=known)
    service.serve(1, 1)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
    said = {"k": 3, "meaning": "first active position of the row"}
    assert manifest.about["rankings"]["earliest@1"] == said
    filters = [("ranking", "==", "earliest")]
    rows = read_table(manifest, "hits", filters=filters).to_pylist()
    assert {row["rank"] for row in rows} == {0, 1, 2}
    assert all(row["score"] == row["peak"] == min(row["positions"]) for row in rows)
    scores = [(row["cluster"], row["score"]) for row in rows]
    assert scores == sorted(scores)
