"""Dead letters for people: as lines, as a dump of bytes, as files."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from streams.deadletters import DeadLetter, Origin, Refused

INDEX = "index.json"
_BYTES_PER_LINE = 16
_NAME_LENGTH = 80


def listing(found: Iterable[Refused]) -> Iterator[str]:
    """Yield a line per original position, and one with the sums."""
    positions = letters = 0
    for entry in found:
        positions, letters = positions + 1, letters + entry.times
        refusal = entry.refusal
        again = f" ({entry.times} times)" if entry.times > 1 else ""
        yield printable(
            f"{entry.number}  {place(refusal.origin)}  {refusal.app}  "
            f"{refusal.error}: {refusal.message}{again}"
        )
    yield f"{positions} refused positions, {letters} dead letters"


def description(letter: DeadLetter, shown_bytes: int) -> Iterator[str]:
    """Yield lines that say all of a dead letter, and the first ``shown_bytes`` of its bytes."""
    refusal = letter.refusal
    yield f"dead letter {letter.number}"
    yield printable(f"stood at  {place(refusal.origin)}{_time(refusal.origin.timestamp)}")
    yield printable(f"error     {refusal.error}: {refusal.message}")
    yield printable(
        f"refused by {refusal.app or 'nobody named'}, stage {refusal.stage or 'unknown'}"
    )
    if refusal.run:
        yield printable(f"run       {refusal.run} (id {refusal.run_id})")
    for name, data in (("key", letter.key), ("value", letter.value)):
        yield f"{name}: none" if data is None else f"{name}: {len(data):,} bytes"
        yield from hexdump((data or b"")[:shown_bytes])


def hexdump(data: bytes) -> Iterator[str]:
    """Yield lines of offset, bytes in hexadecimal, and what of them is printable ASCII."""
    for at in range(0, len(data), _BYTES_PER_LINE):
        row = data[at : at + _BYTES_PER_LINE]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"  {at:08x}  {row.hex(' '):<{3 * _BYTES_PER_LINE - 1}}  {text}"


def export(letters: Iterable[DeadLetter], folder: Path) -> int:
    """Write the original bytes of each position once, and an index; return how many there are.

    Raises OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index, seen = [], set()
    for letter in letters:
        refusal = letter.refusal
        origin = refusal.origin
        position = (refusal.app, origin.topic, origin.partition, origin.offset)
        if position in seen:
            continue
        seen.add(position)
        named = {}
        for name, data in (("key", letter.key), ("value", letter.value)):
            if data is not None:
                named[name] = f"{file_name(letter)}.{name}"
                (folder / named[name]).write_bytes(data)
        index.append(
            {
                "number": letter.number,
                **asdict(refusal),
                "key": named.get("key"),
                "value": named.get("value"),
                "bytes": len(letter.value or b""),
            }
        )
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return len(index)


def file_name(letter: DeadLetter) -> str:
    """Return a file name without an ending: a header may name any topic, ``../..`` for one."""
    origin = letter.refusal.origin
    topic = re.sub(r"[^A-Za-z0-9._-]+", "_", origin.topic)[:_NAME_LENGTH]
    return f"{letter.number:08d}-{topic}-{origin.partition}-{origin.offset}"


def place(origin: Origin) -> str:
    """Return where a record stood, a document's file and line as they are."""
    if origin.offset < 0:
        return origin.topic or "nowhere"
    return f"{origin.topic}, partition {origin.partition}, offset {origin.offset}"


def printable(text: str) -> str:
    """Return a text with its control characters escaped: it was written by anybody."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _time(timestamp: int) -> str:
    if not 0 <= timestamp < 253_402_300_800_000:
        return ""
    return f", written {datetime.fromtimestamp(timestamp / 1000, UTC).isoformat(' ', 'seconds')}"
