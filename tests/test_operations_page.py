"""What docs/operations.md lists is what programs print, no more and no less."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from string import Formatter

import pytest

from consumers.health.run_status import RunStatus, SideStatus, SnapshotStatus, SourceStatus
from millrace.listings import ListedCorpus, ListedDeadLetter, ListedRun, RunList
from streams.monitoring.events import EVENTS
from streams.monitoring.metrics import METRICS, PROCESS_SERIES
from streams.snapshots.manifests import RefusedRecord
from streams.snapshots.stored_snapshots import StoredSnapshot
from tests.test_docs import ROOT, rows_under

PAGE = ROOT / "docs" / "operations.md"


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("millrace runs list", RunList),
        ("A run in the list", ListedRun),
        ("millrace runs show", RunStatus),
        ("A side of a run", SideStatus),
        ("A snapshot of a run", SnapshotStatus),
        ("millrace corpora list", ListedCorpus),
        ("millrace dlq list", ListedDeadLetter),
    ],
)
def test_the_keys_are_those_of_the_page(title: str, kind: type) -> None:
    described = [row[0] for row in rows_under(title, "operations.md")]
    assert described == [field.name for field in dataclasses.fields(kind)]


@pytest.mark.parametrize(
    ("title", "key", "kind"),
    [
        ("millrace runs list", "stored", StoredSnapshot),
        ("millrace runs show", "sources", SourceStatus),
        ("A snapshot of a run", "refused", RefusedRecord),
    ],
)
def test_inner_keys_are_those_of_the_page(title: str, key: str, kind: type) -> None:
    (row,) = [row for row in rows_under(title, "operations.md") if row[0] == key]
    assert re.findall(r"`(\w+)`", row[1] + "`") == [
        field.name for field in dataclasses.fields(kind)
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_the_page_completes(shell: str, tmp_path: Path) -> None:
    assert f"_MILLRACE_COMPLETE={shell}_source millrace" in PAGE.read_text()
    words = {"COMP_WORDS": "millrace corpora de", "COMP_CWORD": "de" if shell == "fish" else "2"}
    done = subprocess.run(
        [sys.executable, "-m", "millrace"],
        env=os.environ | words | {"_MILLRACE_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
    )
    assert "delete" in done.stdout, done.stderr


# Metrics and events


def test_the_metrics_are_those_of_the_page() -> None:
    described = {
        row[0].replace("`", ""): (row[1], row[2].replace("`", ""), row[3], row[4])
        for row in rows_under("Probes and metrics", "operations.md", table=1)
    }
    assert described == {
        ", ".join(metric.series): (
            metric.kind,
            ", ".join(metric.labels) or "—",
            ", ".join(metric.on),
            metric.help,
        )
        for metric in METRICS
    }


def test_the_events_are_those_of_the_page() -> None:
    described = {row[0]: row[1].replace("`", "") for row in rows_under("Logs", "operations.md")}
    assert described == {event.name: ", ".join(event.fields) for event in EVENTS}


def test_no_two_metrics_or_events_have_one_name_and_sentences_use_their_fields() -> None:
    series = [name for metric in METRICS for name in metric.series]
    assert len(set(series)) == len(series)
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    for event in EVENTS:
        used = {name for _, name, _, _ in Formatter().parse(event.sentence) if name}
        assert used <= set(event.fields), event.name


def expressions() -> list[str]:
    """Return what the panels and variables of the Grafana dashboard ask for."""
    board = json.loads((ROOT / "docs" / "grafana" / "millrace.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    for variable in board["templating"]["list"]:
        query = variable.get("query")
        asked += [query["query"]] if isinstance(query, dict) else []
    return asked


def test_the_grafana_dashboard_shows_every_metric_and_no_other() -> None:
    known = {name: metric for metric in METRICS for name in metric.series}
    asked = {
        name
        for expression in expressions()
        for name in re.findall(r"\b(?:millrace|kafka|process)_\w+", expression)
    }
    assert set(known) <= asked
    assert asked - set(known) <= set(PROCESS_SERIES)


def test_the_grafana_dashboard_groups_by_labels_that_there_are() -> None:
    known = {name: metric for metric in METRICS for name in metric.series}
    for expression in expressions():
        names = [name for name in re.findall(r"\b\w+(?=\{)", expression) if name in known]
        for labels in re.findall(r"\bby \(([^)]*)\)", expression):
            for label in labels.split(","):
                assert all(label.strip() in known[name].labels for name in names), expression


def test_panels_have_a_place_of_their_own() -> None:
    board = json.loads((ROOT / "docs" / "grafana" / "millrace.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(set(places)) == len(places)
