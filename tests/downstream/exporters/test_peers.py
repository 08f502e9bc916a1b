"""The tools that an export is for read it with their own classes, where `make peer-readers` ran."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.environments import FOLDER
from downstream.reading.snapshot import Snapshot
from tests.downstream.exporters import peer_readers
from tests.downstream.exporters.conftest import Written
from tests.downstream.exporters.hostile import CLUSTERING, FEATURES, LABELS, RUNS
from tests.downstream.exporters.test_same_as_reader import of_reader

SCRIPT = Path(peer_readers.__file__)


def python_of(format: str) -> Path:
    """Return the Python that has the tool of a format; skips where it was not installed."""
    python = FOLDER / ("delphi" if format == "delphi" else "readers") / "bin" / "python"
    if not python.exists():
        pytest.skip("its tool is not installed: make peer-readers")
    return python


@cache
def seen(format: str, folder: Path) -> Any:
    """Return what the tool saw in an export."""
    command = [python_of(format), SCRIPT, format, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])["seen"]


@pytest.mark.parametrize(
    "format", ["saedashboard", "neuronpedia", "circuit-tracer", "circuit-tracer-binary"]
)
@pytest.mark.parametrize(("run", "features"), [("attached", 5), ("many", 40)])
def test_examples_come_back(
    format: str, run: str, features: int, request: pytest.FixtureRequest, written: Written
) -> None:
    python_of(format)
    snapshot: Snapshot = request.getfixturevalue(run)
    found = seen(format, written(format, snapshot))
    assert len(found) == features
    for index, expected in of_reader(snapshot, features).items():
        assert len(found[str(index)]) == len(expected)
        for (tokens, values, peak), (text, activations, at) in zip(
            found[str(index)], expected, strict=True
        ):
            assert ("".join(tokens), peak) == (text, at)
            assert values == pytest.approx(activations, rel=1e-6, abs=5e-4)


@pytest.mark.parametrize(
    "format", ["saedashboard", "neuronpedia", "circuit-tracer", "circuit-tracer-binary"]
)
def test_hostile_tokens_come_back(
    format: str, hostile_runs: dict[str, Snapshot], written: Written
) -> None:
    python_of(format)
    many = format.startswith("circuit-tracer")
    for run in ("hostile", "silent"):
        snapshot = hostile_runs[run]
        found = seen(format, written(format, snapshot, source=("mlp",) if many else "mlp"))
        assert len(found) == FEATURES
        for index, shown in found.items():
            expected = snapshot.feature(f"mlp:{index}").examples()
            assert ["".join(tokens) for tokens, _, _ in shown] == [
                example.text.replace("\0", "␀") for example in expected
            ]


def test_clusters_of_hostile_names_come_back_from_zanj(
    hostile_runs: dict[str, Snapshot], written: Written
) -> None:
    python_of("spd")
    for run in RUNS:
        found = seen("spd", written("spd", hostile_runs[run], clustering=CLUSTERING))
        assert len(found["clusters"]) == len(LABELS)


def test_latents_active_nowhere_come_back_from_delphi(
    hostile_runs: dict[str, Snapshot], written: Written
) -> None:
    python_of("delphi")
    found = seen("delphi", written("delphi", hostile_runs["hostile"], source="sae", splits=5))
    assert sorted(found["active"]) == ["0", "1", "2"]  # it passes over 3 and 4


def test_clusters_come_back_from_zanj(many: Snapshot, written: Written) -> None:
    python_of("spd")
    found = seen("spd", written("spd", many, clustering="decoder-directions", examples=5))
    assert len(found["clusters"]) == len(found["coactivations"]) == 25
    first = many.cluster("group 0", "decoder-directions").examples(k=5)
    for (tokens, values, text_hash), example in zip(
        found["clusters"]["decoder-directions.0.0"], first, strict=True
    ):
        assert found["texts"][text_hash] == "".join(tokens) == example.text
        assert values == pytest.approx(example.activations)


def test_latents_come_back_from_delphi(many: Snapshot, written: Written) -> None:
    python_of("delphi")
    found = seen("delphi", written("delphi", many, examples=3))
    for index in range(40):
        examples = many.feature(index).examples(k=3)
        expected = {(at, v) for e in examples for at, v in enumerate(e.activations) if v}
        here = found["active"].get(str(index), [])
        assert len(here) == len(expected)
        assert sorted(value for _, _, value in here) == pytest.approx(
            sorted(value for _, value in expected), rel=1e-3
        )
    assert len(found["neighbours"]) == 40
