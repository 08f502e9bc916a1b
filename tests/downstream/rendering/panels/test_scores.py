"""The panel of scores: what the attachment says, nothing of other clusters, no damaged numbers."""

from pathlib import Path

import pytest

from downstream.derived.attach import write_derived
from downstream.derived.derivation import Derived
from downstream.labelling.scores.intruder import FORM
from downstream.labelling.scores.score import Score, score_table
from downstream.reading.snapshot import Snapshot
from downstream.rendering.attached import attachments_of
from downstream.rendering.opening import open_snapshot
from downstream.rendering.panels.panel import ShownPanel, panels_of
from downstream.rendering.panels.scores import ScorePanel, ShownScore
from tests.downstream.dashboard.snapshot_files import small, write_snapshot


def shown(folder: Path, score: Score, cluster: int = 0) -> tuple[ShownPanel, ...]:
    manifest = write_snapshot(str(folder), small())
    made = Derived({FORM: score_table(FORM, {0: score})}, {})
    write_derived("intruder", Snapshot(manifest), made, created="2031-05-06")
    opened = open_snapshot(manifest)
    return panels_of([ScorePanel("intruder")], opened, attachments_of(opened).now(), cluster)


def test_a_score_is_shown_with_its_interval_on_its_cluster_alone(tmp_path: Path) -> None:
    score = Score(0.5, 0.25, 0.75, 5, 6, 3)
    (panel,) = shown(tmp_path / "a", score)
    assert panel.shown == ShownScore(0.5, 0.25, 0.75, None, 5, 6, 3)
    assert shown(tmp_path / "b", score, cluster=2) == ()


@pytest.mark.parametrize("low", [float("nan"), float("-inf")])
def test_a_damaged_score_is_a_line_and_no_failure(tmp_path: Path, low: float) -> None:
    (panel,) = shown(tmp_path, Score(0.5, low, 0.75, 5, 6, 3))
    assert panel.shown is None
    assert "cannot be read" in panel.problem
