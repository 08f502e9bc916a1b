"""What docs/operations.md lists is what programs print, no more and no less."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.health.run_status import RunStatus, SideStatus, SnapshotStatus, SourceStatus
from millrace.listings import ListedCorpus, ListedDeadLetter, ListedRun, RunList
from streams.snapshot import RefusedRecord
from streams.stored_snapshots import StoredSnapshot
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
