"""An export appears whole, goes on where it broke off, and is the same bytes each time."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from downstream.exporters.exporter import Exporter
from downstream.exporters.exporting import export
from downstream.exporters.registry import EXPORTERS
from downstream.exporters.staging import ABOUT, Staging
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError
from tests.downstream.exporters.conftest import CHOICES

FORMATS = {one.name: one for one in EXPORTERS}
every_format = pytest.mark.parametrize("format", FORMATS)


class Killed(BaseException):
    """As if the process ended here."""


def contents(place: Path) -> dict[str, bytes]:
    """Return every file of an export by its name; "." for an export that is one file."""
    if place.is_file():
        return {".": place.read_bytes()}
    files = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def made(format: str, snapshot: Snapshot, out: Path, **more: Any) -> dict[str, bytes]:
    """Export and return what was written."""
    export(FORMATS[format], snapshot, out, CHOICES.get(format, {}), **more)
    return contents(out)


@every_format
def test_an_export_is_the_same_bytes_each_time_and_leaves_nothing_else(
    format: str, attached: Snapshot, tmp_path: Path
) -> None:
    first = made(format, attached, tmp_path / "one")
    assert first == made(format, attached, tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@every_format
def test_an_export_that_is_killed_at_any_file_goes_on_to_the_same_bytes(
    format: str, attached: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(format, attached, tmp_path / "whole")
    real, out = Path.replace, tmp_path / "out"
    written: list[str] = []
    killed_at: list[str] = []
    attempts = 0
    while True:
        left = 2 + attempts**2
        attempts += 1

        def replace(self: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if not left:
                killed_at.append(str(target))
                raise Killed
            written.append(str(target))
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        try:
            done = export(FORMATS[format], attached, out, CHOICES.get(format, {}))
        except Killed:
            assert not out.exists()
            continue
        break
    assert done.continued == (attempts > 1)
    assert contents(out) == whole
    # What describes the whole is written again, and the batch in which the end came.
    repeated = {batch_of(path) for path in written if written.count(path) > 1}
    assert repeated <= {batch_of(path) for path in killed_at} | {""}


def batch_of(path: str) -> str:
    """Return which batch or piece a file belongs to."""
    found = re.search(r"(batch[-_]|latents/.*/|\.pieces/.*/|features/)\d+", path)
    return found[0].rpartition("/")[2] if found else ""


def test_choices_that_differ_begin_anew(
    bare: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(Staging, "finish", lambda self, replace: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            export(FORMATS["saedashboard"], bare, out, {"examples": 1})
    done = export(FORMATS["saedashboard"], bare, out, {"examples": 2})
    assert not done.continued
    assert contents(out) == made_anew(bare, tmp_path / "other")


def made_anew(snapshot: Snapshot, out: Path) -> dict[str, bytes]:
    """Return an export with two examples."""
    export(FORMATS["saedashboard"], snapshot, out, {"examples": 2})
    return contents(out)


@pytest.mark.parametrize("format", ["csv", "saedashboard"])
def test_what_is_there_gives_way_only_where_that_is_said(
    format: str, bare: Snapshot, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious").write_text("mine")
    with pytest.raises(ExportError, match="is there already: name another, or say --replace"):
        made(format, bare, out)
    assert (out / "precious").read_text() == "mine"
    assert "precious" not in made(format, bare, out, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_there_stays_until_the_export_is_whole(
    bare: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    monkeypatch.setattr(FORMATS["csv"].__class__, "export", _fails)
    with pytest.raises(ExportError, match="half way"):
        made("csv", bare, out, replace=True)
    assert out.read_text() == "mine"


def _fails(self: Exporter, *_: object) -> None:
    raise ExportError("half way")


@pytest.mark.parametrize(
    ("out", "line"),
    [
        ("s3://bucket/place", "is no file or folder of this machine"),
        ("", "is no file or folder of this machine"),
        ("..", "names no file or folder"),
        ("file/below", "cannot write"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(
    out: str, line: str, bare: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(ExportError, match=line) as error:
        export(FORMATS["csv"], bare, out)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("format", "choices", "line"),
    [
        ("csv", {"table": "nothing"}, r"no table 'nothing' \(there are: clusters, hits"),
        ("csv", {"attachment": "a/b"}, r"no attachment 'a/b' \(there are: logit_lens/default"),
        (
            "csv",
            {"attachment": "neighbours/default", "table": "hits"},
            r"has no table 'hits' \(it has: neighbours\)",
        ),
        ("csv", {"colour": "red"}, "csv has no option --colour"),
        ("neuronpedia", {"source": "x"}, r"source 'x' were not watched \(there are: sae\)"),
        ("neuronpedia", {"ranking": "x"}, r"no ranking 'x' \(there are: maximum\)"),
        ("neuronpedia", {"examples": 0}, "--examples 0 is not between 1 and"),
        ("neuronpedia", {"batch": -1}, "--batch -1 is not between 1 and"),
        ("neuronpedia", {"features": "5"}, "'5' is not among the 5 there are"),
        ("neuronpedia", {"features": "3-1"}, "'3-1' is not among"),
        ("neuronpedia", {"features": "one"}, "'one' is no index or range"),
        ("neuronpedia", {"features": ","}, "--features names none"),
        ("neuronpedia", {"features": "@/no/file"}, "cannot read /no/file"),
        ("neuronpedia", {"layer": "six"}, "--layer 'six' is no number"),
        ("neuronpedia", {"set": "../x"}, "cannot be a name"),
        ("neuronpedia", {"model-id": "a/b"}, "cannot be a name"),
        ("neuronpedia", {"convention": "x"}, "neither raw nor folded"),
        ("saedashboard", {"decimals": 99}, "--decimals 99 is not 0 to 12"),
        (
            "spd",
            {"clustering": "x"},
            r"no clustering 'x' \(0\); there are: features/sae \(0\), odd",
        ),
        ("spd", {"separator": "+"}, "neither . nor -"),
        ("delphi", {"hookpoint": "../x"}, "cannot be the name of a folder"),
        ("delphi", {"splits": -1}, "--splits -1 is no number"),
        ("circuit-tracer", {"source": ("x",)}, "source 'x' were not watched"),
        ("circuit-tracer", {"scan": "../x"}, "cannot be the name of a file"),
        ("html", {}, "say which --features or --cluster"),
        ("html", {"cluster": ("x",), "clustering": "odd"}, "there is no 'x' in odd"),
    ],
)
def test_choices_that_cannot_be_served_are_one_line(
    format: str, choices: dict[str, Any], line: str, attached: Snapshot, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=line) as error:
        export(FORMATS[format], attached, tmp_path / "out", choices)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_features_may_be_listed_in_a_file(bare: Snapshot, tmp_path: Path) -> None:
    listed = tmp_path / "features.txt"
    listed.write_text("0\n2-3\n")
    out = tmp_path / "out"
    export(FORMATS["columnar"], bare, out, {"features": f"@{listed}"})
    assert b"[0,2,3]" in (out / "manifest.json").read_bytes()


def test_a_folder_says_what_it_was_made_of(bare: Snapshot, tmp_path: Path) -> None:
    found = made("saedashboard", bare, tmp_path / "out")[ABOUT].decode()
    assert f'"content": "{bare.content}"' in found
    assert '"decimals": 3' in found


def test_what_rounding_takes_away_is_counted(many: Snapshot, tmp_path: Path) -> None:
    done = export(FORMATS["saedashboard"], many, tmp_path / "few", {"decimals": 0})
    assert any("became 0 when they were rounded: --decimals keeps more" in n for n in done.notes)
    done = export(FORMATS["saedashboard"], many, tmp_path / "many", {"decimals": 12})
    assert not any("rounded" in note for note in done.notes)


def test_a_staging_folder_keeps_names_inside(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "out", {})
    staging.begin()
    for name in ("../x", "a/../../x", "/etc/x", "a\0b", ".pieces/../x"):
        with pytest.raises(ExportError, match="cannot be the name of a file"):
            staging.write(name, b"")
    assert os.listdir(tmp_path) == [staging.folder.name]
