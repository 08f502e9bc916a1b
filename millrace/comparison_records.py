"""What was asked of finished snapshots, as JSON that can be asked again: which ones, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval, MaxLen, MinLen
from pydantic import TypeAdapter

from consumers.asking.record import MAX_BYTES, read_as, versions
from downstream.analysis.dictionaries import Choices
from downstream.reading.snapshot import Snapshot, open_snapshot
from streams import bounds
from streams.errors import SnapshotError
from streams.regular_files import read_bounded

DOMAIN: Literal["millrace-domain-features"] = "millrace-domain-features"
Top = Annotated[int, Interval(ge=1, le=10_000)]
Versions = Annotated[dict[str, str], MaxLen(64)]


@dataclass(frozen=True, slots=True)
class NamedSnapshot:
    """A snapshot. store: folder or address. content: hash of its tables."""

    store: bounds.Text
    run: bounds.Label
    snapshot: bounds.Label
    content: bounds.Label


@dataclass(frozen=True, slots=True)
class DomainRecord(NamedSnapshot):
    """Which features tell a domain from another, or from all others (None); when, with what."""

    domain: bounds.Label
    against: bounds.Label | None
    level: Annotated[float, Interval(gt=0, lt=0.5)]
    top: Top
    asked: bounds.Label
    versions: Versions
    format: Literal["millrace-domain-features"] = DOMAIN
    version: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class DictionariesRecord(NamedSnapshot):
    """How the dictionaries of a run are compared. only: some of them; of all, if it is empty.

    weights: whether decoder directions are read, at ``places`` by source or where the run says.
    """

    choices: Choices
    only: Annotated[tuple[bounds.Label, ...], MaxLen(4096)]
    weights: bool
    places: Annotated[dict[str, bounds.Text], MaxLen(4096)]
    asked: bounds.Label
    versions: Versions
    format: Literal["millrace-dictionaries"] = "millrace-dictionaries"
    version: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class ModelsRecord:
    """Whose features are matched. top: matches of two runs that a page and JSON show."""

    runs: Annotated[tuple[NamedSnapshot, ...], MinLen(2), MaxLen(1024)]
    top: Annotated[int, Interval(ge=1, le=2**31)]
    asked: bounds.Label
    versions: Versions
    format: Literal["millrace-models"] = "millrace-models"
    version: Literal[1] = 1


ComparisonRecord = DomainRecord | DictionariesRecord | ModelsRecord
Kind = TypeVar("Kind", DomainRecord, DictionariesRecord, ModelsRecord)
FORMATS: Mapping[str, type[ComparisonRecord]] = {
    DOMAIN: DomainRecord,
    "millrace-dictionaries": DictionariesRecord,
    "millrace-models": ModelsRecord,
}


def domain_record(
    snapshot: Snapshot, domain: str, against: str | None, level: float, top: int, now: str
) -> DomainRecord:
    """Return the record of a question about a domain. now: the time, ISO 8601."""
    return DomainRecord(*_named(snapshot), domain, against, level, top, now, versions())


def dictionaries_record(
    snapshot: Snapshot,
    choices: Choices,
    only: Sequence[str],
    weights: bool,
    places: Mapping[str, str],
    now: str,
) -> DictionariesRecord:
    """Return the record of a comparison of dictionaries. now: the time, ISO 8601."""
    named = _named(snapshot)
    return DictionariesRecord(*named, choices, (*only,), weights, {**places}, now, versions())


def models_record(snapshots: Sequence[Snapshot], top: int, now: str) -> ModelsRecord:
    """Return the record of a comparison of models. now: the time, ISO 8601."""
    runs = tuple(NamedSnapshot(*_named(snapshot)) for snapshot in snapshots)
    return ModelsRecord(runs, top, now, versions())


def to_plain(record: ComparisonRecord) -> dict[str, Any]:
    """Return a record as JSON's own types."""
    found: dict[str, Any] = _adapter(record.format).dump_python(record, mode="json")
    return found


def read_record(form: str, data: bytes, where: str) -> ComparisonRecord:
    """Return the record of a form (of FORMATS) that JSON is, or that it holds as ``record``.

    Raises QuestionError, which names ``where``.
    """
    found: ComparisonRecord = read_as(_adapter(form), form, data, where)
    return found


def record_in(file: Path, kind: type[Kind]) -> Kind:
    """Return the record of a kind in a file; QuestionError, and OSError if it cannot be read."""
    (form,) = (name for name, each in FORMATS.items() if each is kind)
    found: Kind = read_as(_adapter(form), form, read_bounded(file, MAX_BYTES), str(file))
    return found


def runs_of(record: ComparisonRecord) -> tuple[NamedSnapshot, ...]:
    """Return the snapshots that a record names."""
    return record.runs if isinstance(record, ModelsRecord) else (record,)


def opened(record: ComparisonRecord) -> list[Snapshot]:
    """Return the snapshots that a record names; SnapshotError if one is another now."""
    found = []
    for named in runs_of(record):
        snapshot = open_snapshot(named.store, named.run, named.snapshot)
        if snapshot.content != named.content:
            raise SnapshotError(
                f"snapshot {named.snapshot!r} of run {named.run!r} in {named.store} has other "
                f"content ({snapshot.content[:12]}) than the record names ({named.content[:12]})"
            )
        found.append(snapshot)
    return found


def _named(snapshot: Snapshot) -> tuple[str, str, str, str]:
    return snapshot.manifest.store, snapshot.run, snapshot.name, snapshot.content


@cache
def _adapter(form: str) -> TypeAdapter[Any]:
    return TypeAdapter(FORMATS[form])
