"""Dead letters: records that cannot be processed, with their original bytes and the cause.

Workers write them, and producers for documents that they cannot read. A record that is delivered
again is refused again, so readers count by where it originally stood.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from streams import topics
from streams.errors import BrokerError
from streams.transport.client import Client, Headers, StoredRecord

_MESSAGE_CHARACTERS = 2000  # a message may repeat what a hostile record says


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a refused record stood; numbers are -1 where nobody knows them.

    topic: or file and line of a document. timestamp: in milliseconds since 1970.
    """

    topic: str
    partition: int = -1
    offset: int = -1
    timestamp: int = -1


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the headers of a dead letter say: what happened to which record, and who refused it.

    error: the class of the error. app: the Faust app, or ``produce.<corpus>``. run, run_id: the
    name and the hash of the run record; empty for a document.
    """

    origin: Origin
    error: str
    message: str
    stage: str
    app: str
    run: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as read back; ``key`` and ``value`` are the original bytes.

    number: its own offset among the dead letters.
    """

    number: int
    refusal: Refusal
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The dead letters of one original position: the first one's number, how many there are."""

    number: int
    times: int
    refusal: Refusal


def headers(refusal: Refusal) -> Headers:
    """Return the headers of a dead letter, those of workers and of producers alike."""
    origin = refusal.origin
    named = {
        "x-error-class": refusal.error,
        "x-error-message": refusal.message[:_MESSAGE_CHARACTERS],
        "x-error-stage": refusal.stage,
        "x-original-topic": origin.topic,
        "x-original-partition": str(origin.partition),
        "x-original-offset": str(origin.offset),
        "x-original-timestamp": str(origin.timestamp),
        "x-app": refusal.app,
        "x-run": refusal.run,
        "x-run-id": refusal.run_id,
    }
    return tuple((name, text.encode(errors="replace")) for name, text in named.items())


def refusal(found: Headers) -> Refusal:
    """Return what headers say; those that are missing read as empty or -1."""
    named = {name: value.decode(errors="replace") for name, value in found}
    return Refusal(
        origin=Origin(
            named.get("x-original-topic", ""),
            *(_number(named, f"x-original-{n}") for n in ("partition", "offset", "timestamp")),
        ),
        error=named.get("x-error-class", ""),
        message=named.get("x-error-message", ""),
        stage=named.get("x-error-stage", ""),
        app=named.get("x-app", ""),
        run=named.get("x-run", ""),
        run_id=named.get("x-run-id", ""),
    )


def dead_letter(record: StoredRecord) -> DeadLetter:
    """Return the dead letter that a record of the dead-letters topic holds."""
    return DeadLetter(record.offset, refusal(record.headers), record.key, record.value)


def read_dead_letters(client: Client, run: str = "", app: str = "") -> Iterator[DeadLetter]:
    """Yield the dead letters of a broker in their order; of one run or one app if it is named."""
    if topics.DEAD_LETTERS.name not in client.topics():
        return
    for record in client.read(topics.DEAD_LETTERS.name, 0):
        letter = dead_letter(record)
        if run in ("", letter.refusal.run) and app in ("", letter.refusal.app):
            yield letter


def get_dead_letter(client: Client, number: int) -> DeadLetter:
    """Return the dead letter of a number; raise BrokerError if there is none."""
    if topics.DEAD_LETTERS.name in client.topics() and number >= 0:
        for record in client.read(topics.DEAD_LETTERS.name, 0, number, number + 1):
            if record.offset == number:
                return dead_letter(record)
    raise BrokerError(f"there is no dead letter {number}: see dlq list")


def distinct(letters: Iterable[DeadLetter]) -> list[Refused]:
    """Return one entry per app and original position, in the order of their first dead letters."""
    found: dict[tuple[str, str, int, int], Refused] = {}
    for letter in letters:
        origin = letter.refusal.origin
        key = (letter.refusal.app, origin.topic, origin.partition, origin.offset)
        seen = found.get(key, Refused(letter.number, 0, letter.refusal))
        found[key] = Refused(seen.number, seen.times + 1, seen.refusal)
    return list(found.values())


def _number(named: Mapping[str, str], name: str) -> int:
    text = named.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
