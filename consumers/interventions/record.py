"""What an intervention was, as JSON that can be made again: request, setup, versions."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import MaxLen
from pydantic import TypeAdapter

from consumers.asking.record import read_as, versions
from consumers.asking.setup import Setup
from consumers.interventions.requests import Ablation, Steering
from streams import bounds

FORMAT: Literal["millrace-intervention"] = "millrace-intervention"


@dataclass(frozen=True, slots=True)
class InterventionRecord:
    """What was wanted, of what model, when (ISO 8601, UTC) and with which libraries.

    A steering's scale is the one that was taken.
    """

    format: Literal["millrace-intervention"]
    version: Literal[1]
    asked: bounds.Label
    request: Steering | Ablation
    setup: Setup
    versions: Annotated[dict[str, str], MaxLen(64)]


def intervention_record(request: Steering | Ablation, setup: Setup, now: str) -> InterventionRecord:
    """Return the record of a request. now: the time, ISO 8601."""
    return InterventionRecord(FORMAT, 1, now, request, setup, versions())


def to_plain(record: InterventionRecord) -> dict[str, Any]:
    """Return a record as JSON's own types."""
    found: dict[str, Any] = _adapter().dump_python(record, mode="json")
    return found


def read_record(data: bytes, where: str) -> InterventionRecord:
    """Return the record that JSON is, or that it holds as ``record``; raises QuestionError."""
    return read_as(_adapter(), FORMAT, data, where)


@cache
def _adapter() -> TypeAdapter[InterventionRecord]:
    return TypeAdapter(InterventionRecord)
