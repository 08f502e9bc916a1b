"""What was asked, as JSON that can be asked again: question, setup with hashes, versions."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import MaxLen
from pydantic import TypeAdapter, ValidationError

from consumers.asking.setup import Setup
from streams import bounds
from streams.asking.question import Question
from streams.errors import QuestionError
from streams.strict_json import JsonError, parse_json

T = TypeVar("T")
FORMAT: Literal["millrace-question"] = "millrace-question"
MAX_BYTES = 2**28
_DECIDING = ("millrace", "torch", "transformers", "transformer-lens", "sae-lens", "numpy", "scipy")


@dataclass(frozen=True, slots=True)
class AskRecord:
    """What was asked, of what, when (ISO 8601, UTC) and with which versions of the libraries."""

    format: Literal["millrace-question"]
    version: Literal[1]
    asked: bounds.Label
    question: Question
    setup: Setup
    versions: Annotated[dict[str, str], MaxLen(64)]


def ask_record(question: Question, setup: Setup, now: str) -> AskRecord:
    """Return the record of a question. now: the time, ISO 8601."""
    return AskRecord(FORMAT, 1, now, question, setup, versions())


def to_plain(record: AskRecord) -> dict[str, Any]:
    """Return a record as JSON's own types."""
    found: dict[str, Any] = _adapter().dump_python(record, mode="json")
    return found


def record_json(record: AskRecord) -> bytes:
    """Return a record as JSON."""
    return _adapter().dump_json(record, indent=1) + b"\n"


def read_record(data: bytes, where: str) -> AskRecord:
    """Return the record that JSON is, or that it holds as ``record``, as answers do.

    Raises QuestionError, which names ``where``.
    """
    return read_as(_adapter(), FORMAT, data, where)


def read_as(adapter: TypeAdapter[T], form: str, data: bytes, where: str) -> T:
    """Return the record of a form, version 1, that JSON is or holds as ``record``.

    Raises QuestionError, which names ``where``.
    """
    found = _record_in(data, where)
    if found.get("format") != form:
        raise QuestionError(f"{where} is no record of this kind: those say {form!r} as format")
    if found.get("version") != 1:
        raise QuestionError(
            f"{where} has version {bounds.shown(found.get('version'))} of the record, this program "
            "reads version 1"
        )
    try:
        return adapter.validate_python(found)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise QuestionError(f"{where} cannot be asked again: {place}: {first['msg']}") from error


def form_of(data: bytes, where: str) -> str:
    """Return the form that a record says it has; raises QuestionError for what is no JSON."""
    return str(_record_in(data, where).get("format"))


def _record_in(data: bytes, where: str) -> Mapping[str, Any]:
    """Return what JSON holds as ``record``, or all of it; nothing of what is no object."""
    try:
        found = parse_json(data, MAX_BYTES)
    except JsonError as error:
        raise QuestionError(f"{where} {error}") from error
    if isinstance(found, Mapping) and isinstance(inner := found.get("record"), Mapping):
        return inner
    return found if isinstance(found, Mapping) else {}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide about numbers."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _DECIDING},
    }


@cache
def _adapter() -> TypeAdapter[AskRecord]:
    """Return what reads and writes records; it takes milliseconds to build."""
    return TypeAdapter(AskRecord)
