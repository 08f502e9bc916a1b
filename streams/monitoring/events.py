"""What workers and producers say in their logs, in one list: a stable name and fields for each.

As text an event is one line; with ``--log-format json`` one JSON object with its name as ``event``
and its fields. The page ``docs/operations.md`` is compared with this list.
"""

import logging
from dataclasses import dataclass
from typing import Any

from streams.monitoring.durations import duration

LOGGER = "streams.monitoring.events"
_log = logging.getLogger(LOGGER)


@dataclass(frozen=True, slots=True)
class Event:
    """An event. sentence: takes the fields by name, as ``str.format`` does; None reads as "?"."""

    name: str
    sentence: str
    fields: tuple[str, ...]
    level: int = logging.INFO


WORKER_STARTED = Event(
    "worker_started",
    "Worker started: run {run}, {activations} for activations, {aggregates} for aggregates",
    ("run", "run_id", "activations", "aggregates"),
)
DEVICE = Event(
    "device",
    "Device of this worker: {device}, {name}; {others}",
    ("device", "name", "others"),
)
REBALANCED = Event(
    "rebalanced",
    "Rebalanced: {side} of run {run}, partitions {partitions} of {topic}",
    ("side", "run", "topic", "partitions"),
)
PROGRESS = Event(
    "progress",
    "Progress: {side}, {done} of {total} {unit}, {rows_per_second} rows/s, "
    "{tokens_per_second} tokens/s, ETA {eta_seconds}",
    (
        "side",
        "run",
        "corpus",
        "done",
        "total",
        "unit",
        "lag",
        "rows_per_second",
        "tokens_per_second",
        "eta_seconds",
    ),
)
DEAD_LETTER = Event(
    "dead_letter",
    "Dead letter: {topic}, partition {partition}, offset {offset}: {error}: {cause}",
    ("side", "topic", "partition", "offset", "error", "cause"),
    logging.WARNING,
)
PART_WRITTEN = Event(
    "part_written",
    "Snapshot {snapshot} of run {run}: part of shard {shard} written in {seconds} s",
    ("run", "snapshot", "shard", "seconds"),
)
SNAPSHOT_WRITTEN = Event(
    "snapshot_written",
    "Snapshot {snapshot} of run {run} written: content {content}",
    ("run", "snapshot", "final", "content"),
)
SNAPSHOT_FAILED = Event(
    "snapshot_failed",
    "Snapshot {snapshot} of run {run} failed: {cause}",
    ("run", "snapshot", "cause"),
    logging.ERROR,
)
WORKER_ENDED = Event(
    "worker_ended",
    "Worker ended: run {run}, {reason}, {records} records in {seconds} s",
    ("run", "reason", "records", "seconds"),
)
PRODUCER_STARTED = Event("producer_started", "Producer started: corpus {corpus}", ("corpus",))
PRODUCER_SAID = Event("producer_said", "Producer: {text}", ("corpus", "text"))
PRODUCER_ENDED = Event(
    "producer_ended",
    "Producer ended: corpus {corpus}, {reason}, {rows} rows, {tokens} tokens in {seconds} s",
    ("corpus", "reason", "rows", "tokens", "seconds"),
)
PROGRAM_SAID = Event("program_said", "{text}", ("text",))
PROGRAM_FAILED = Event(
    "program_failed", "millrace: error: {cause}", ("cause", "status"), logging.ERROR
)

EVENTS = tuple(value for value in list(globals().values()) if isinstance(value, Event))
"""All of them, in the order of this module."""


def say(event: Event, **fields: Any) -> None:
    """Log an event with all its fields; numbers that are not known are None."""
    if set(fields) != set(event.fields):
        raise TypeError(f"event {event.name} has the fields {event.fields}, not {tuple(fields)}")
    if not _log.isEnabledFor(event.level):
        return
    shown = {name: _shown(name, value) for name, value in fields.items()}
    _log.log(
        event.level,
        "%s",
        event.sentence.format(**shown),
        extra={"event": event.name, "fields": {n: _plain(v) for n, v in fields.items()}},
    )


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "?"
    if name == "eta_seconds":
        return duration(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int) and not isinstance(value, bool) and name not in _PLACES:
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    # Names and messages may come from records that anybody wrote.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


_PLACES = ("partition", "offset", "shard", "status")


def _plain(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
