"""The record of a run that is created for a test."""

from typing import Any

from consumers.runs.creation import prepare_run
from streams.records.runs import RunRecord


def create_run(*arguments: Any, **named: Any) -> RunRecord:
    """Return the record of a new run; see ``prepare_run``."""
    return prepare_run(*arguments, **named).plan.run
