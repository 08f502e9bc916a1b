"""Interventions from settings, a run, a snapshot or a record: the answer and its record."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from millrace.asking import load_setup, now, open_asker
from millrace.progress_bars import spinner
from streams.asking.effects import Ablated, Steered
from streams.errors import QuestionError
from streams.regular_files import read_bounded

if TYPE_CHECKING:
    from consumers.asking.asker import Asker
    from consumers.interventions.record import InterventionRecord
    from consumers.interventions.requests import Ablation, Steering
    from millrace.settings import Settings

R = TypeVar("R", "Steering", "Ablation")


def steered(
    settings: "Settings", snapshot: str | None, wanted: "Steering | InterventionRecord | Path"
) -> "tuple[Steered, InterventionRecord]":
    """Return the answer to a steering, or to that of a record, and its record.

    The scale is that of the request, else the maximum activation in the snapshot, else that over
    the prompts. Raises QuestionError and what ``open_asker`` raises.
    """
    from consumers.interventions.answering import steer
    from consumers.interventions.intervener import Intervener
    from consumers.interventions.requests import Steering

    asker, request = _opened(settings, snapshot, wanted, Steering)
    if request.scale is None and snapshot is not None:
        request = replace(request, scale=_maximum(snapshot, settings.run.name, request.feature))
    answer = steer(Intervener(asker), request)
    return answer, _record(replace(request, scale=answer.scale), asker)


def ablated(
    settings: "Settings", snapshot: str | None, wanted: "Ablation | InterventionRecord | Path"
) -> "tuple[Ablated, InterventionRecord]":
    """Return the answer to an ablation, or to that of a record, and its record; errors as above."""
    from consumers.interventions.answering import ablate
    from consumers.interventions.intervener import Intervener
    from consumers.interventions.requests import Ablation

    asker, request = _opened(settings, snapshot, wanted, Ablation)
    return ablate(Intervener(asker), request), _record(request, asker)


def _opened(
    settings: "Settings",
    snapshot: str | None,
    wanted: "R | InterventionRecord | Path",
    kind: "type[R]",
) -> "tuple[Asker, R]":
    """Return the model to ask, and what is wanted of it."""
    from consumers.asking.record import MAX_BYTES
    from consumers.interventions.record import InterventionRecord, read_record

    if not isinstance(wanted, Path | InterventionRecord):
        return open_asker(settings, snapshot), wanted
    if isinstance(wanted, Path):
        known = read_record(read_bounded(wanted, MAX_BYTES), str(wanted))
    else:
        known = wanted
    if not isinstance(known.request, kind):
        raise QuestionError(f"{wanted} is the record of another verb")
    with spinner("loading the model and its dictionaries"):
        return load_setup(settings, known.setup), known.request


def _maximum(snapshot: str, run: str | None, feature: str) -> float | None:
    """Return a feature's maximum activation in a snapshot; None if it was never active there."""
    from downstream.reading.snapshot import open_snapshot

    opened = open_snapshot(snapshot, run)
    found = opened.max_activation(opened.feature(feature).number)
    return found if found > 0 else None


def _record(request: "Steering | Ablation", asker: "Asker") -> "InterventionRecord":
    from consumers.interventions.record import intervention_record

    return intervention_record(request, asker.setup, now())
