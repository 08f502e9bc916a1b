"""Exporting a snapshot: choices checked, files made beside OUT, and put in its place at the end."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from downstream.exporters.exporter import Choices, Exporter
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError

_ADDRESS = re.compile(r"[a-z0-9+]+://")
_REVISION = 3  # of the bytes that exporters write: another does not go on with what an older began


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. notes: what a reader has to know. continued: an earlier attempt was."""

    path: Path
    notes: Sequence[str]
    continued: bool


def export(
    exporter: Exporter,
    snapshot: Snapshot,
    out: str | Path,
    choices: Mapping[str, Any] | None = None,
    *,
    replace: bool = False,
) -> Exported:
    """Write a snapshot in a format to ``out``, a file or folder that appears whole.

    choices: options of the exporter by name, defaults for those left out. replace: whether an
    ``out`` that is there gives way, at the very end. An export that broke off goes on. Raises
    ExportError if it is there, cannot be written or if there is no such option.
    """
    place = _place(out)
    if place.exists() and not replace:
        raise ExportError(f"{place} is there already: name another, or say --replace")
    whole = _whole(exporter, choices or {})
    made_of = {
        "format": exporter.name,
        "revision": _REVISION,
        "millrace": _version(),
        "run": snapshot.run,
        "snapshot": snapshot.name,
        "content": snapshot.content,
        "identity": snapshot.identity,
        "created": snapshot.manifest.created,
        "attachments": {f"{one.kind}/{one.name}": one.hash for one in snapshot.attachments},
        "options": whole,
    }
    staging = Staging(place, made_of)
    staging.begin()
    notes = exporter.export(snapshot, whole, staging)
    staging.finish(replace=replace)
    if staging.continued:
        notes = [
            *notes,
            "an earlier attempt was continued: what it lost by rounding is not counted",
        ]
    return Exported(place, notes, staging.continued)


def _place(out: str | Path) -> Path:
    text = str(out)
    if _ADDRESS.match(text) or not text:
        raise ExportError(f"{text!r} is no file or folder of this machine")
    place = Path(text)
    if not place.name or place.name == "..":
        raise ExportError(f"{text!r} names no file or folder")
    return place


def _whole(exporter: Exporter, choices: Mapping[str, Any]) -> Choices:
    """Return a value for each option of an exporter."""
    known = {option.name: option for option in exporter.options}
    if unknown := [name for name in choices if name not in known]:
        raise ExportError(f"{exporter.name} has no option --{unknown[0]}")
    for name, value in choices.items():
        for text in value if known[name].many else (value,):
            if isinstance(text, str) and not _is_unicode(text):
                raise ExportError(f"--{name} {text!a} is no text: it cannot be UTF-8")
    defaults = {name: () if one.many else one.default for name, one in known.items()}
    return {**defaults, **choices}


def _is_unicode(text: str) -> bool:
    """Whether a text is free of lone surrogates, as an argument of other bytes is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _version() -> str:
    try:
        return version("millrace")
    except PackageNotFoundError:
        return "unknown"
