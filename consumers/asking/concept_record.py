"""What was asked about a concept, as JSON that can be asked again: texts, setup, versions."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import MaxLen
from pydantic import TypeAdapter

from consumers.asking.record import read_as, versions
from consumers.asking.setup import Setup
from streams import bounds
from streams.asking.concept import ConceptQuestion

FORMAT: Literal["millrace-concept"] = "millrace-concept"


@dataclass(frozen=True, slots=True)
class ConceptRecord:
    """What was asked, seed of the split included, of what, when (ISO 8601, UTC), with what."""

    format: Literal["millrace-concept"]
    version: Literal[1]
    asked: bounds.Label
    question: ConceptQuestion
    setup: Setup
    versions: Annotated[dict[str, str], MaxLen(64)]


def concept_record(question: ConceptQuestion, setup: Setup, now: str) -> ConceptRecord:
    """Return the record of a question. now: the time, ISO 8601."""
    return ConceptRecord(FORMAT, 1, now, question, setup, versions())


def to_plain(record: ConceptRecord) -> dict[str, Any]:
    """Return a record as JSON's own types."""
    found: dict[str, Any] = _adapter().dump_python(record, mode="json")
    return found


def read_record(data: bytes, where: str) -> ConceptRecord:
    """Return the record that JSON is, or that it holds as ``record``; raises QuestionError."""
    return read_as(_adapter(), FORMAT, data, where)


@cache
def _adapter() -> TypeAdapter[ConceptRecord]:
    return TypeAdapter(ConceptRecord)
