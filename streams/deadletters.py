"""Dead letters: records that cannot be processed, with their original bytes and the cause."""

from dataclasses import dataclass

from streams.errors import RecordError
from streams.transport.client import Headers, StoredRecord

_PREFIX = "x-original-"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a refused record stood. timestamp in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int


def headers(origin: Origin, error: RecordError, *, app: str, run: str, stage: str) -> Headers:
    """Return the headers of a dead letter: what happened, where it stood, who refused it."""
    return (
        ("x-error-class", type(error).__name__.encode()),
        ("x-error-message", str(error).encode()),
        ("x-error-stage", stage.encode()),
        (_PREFIX + "topic", origin.topic.encode()),
        (_PREFIX + "partition", str(origin.partition).encode()),
        (_PREFIX + "offset", str(origin.offset).encode()),
        (_PREFIX + "timestamp", str(origin.timestamp).encode()),
        ("x-app", app.encode()),
        ("x-run", run.encode()),
    )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as read back; ``value`` and ``key`` are the original bytes."""

    origin: Origin
    error: str
    message: str
    stage: str
    app: str
    run: str
    key: bytes | None
    value: bytes | None


def dead_letter(record: StoredRecord) -> DeadLetter:
    """Return the dead letter that a record of the dead-letters topic holds."""
    found = {name: value.decode(errors="replace") for name, value in record.headers}
    numbers = [int(found.get(_PREFIX + n, "-1")) for n in ("partition", "offset", "timestamp")]
    return DeadLetter(
        origin=Origin(found.get(_PREFIX + "topic", ""), *numbers),
        error=found.get("x-error-class", ""),
        message=found.get("x-error-message", ""),
        stage=found.get("x-error-stage", ""),
        app=found.get("x-app", ""),
        run=found.get("x-run", ""),
        key=record.key,
        value=record.value,
    )
