"""Everything that was asked of a model and answered, as lines of JSON: nothing is paid for twice.

A line is written and synced before its answer is used. A line that broke off is asked again.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from downstream.labelling.label_prompt import Message
from streams.errors import SettingsError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """One question with its answer.

    key: of the question, see ``question_key``. task: what it was for. cluster: about which. note:
    what the reader of the answer needs beside it, such as which samples were shown. counted:
    whether the service said how many tokens were used; else they are estimated. at: ISO 8601, UTC.
    """

    key: str
    task: str
    cluster: int
    messages: Sequence[Message]
    note: Mapping[str, Any]
    answer: str
    prompt_tokens: int
    completion_tokens: int
    counted: bool
    attempts: int
    seconds: float
    model: str
    at: str
    version: int = VERSION


def question_key(address: str, body: Mapping[str, Any]) -> str:
    """Return the key of a request: a hash of where it goes and of all that it says."""
    said = json.dumps([address, body], sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(said.encode()).hexdigest()


class AnswerLog:
    """A file of answers, for one program at a time; use it in a ``with`` block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: dict[str, Answered] = {}

    def __enter__(self) -> "AnswerLog":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise SettingsError(f"{self._path}: another program is writing this log") from None
        self._file.seek(0)
        self.entries = {one.key: one for line in self._file if (one := _read(line)) is not None}
        size = self._file.seek(0, os.SEEK_END)
        if size and self._last_byte(size) != b"\n":
            self._file.write(b"\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, one: Answered) -> None:
        """Write an answer to the disk."""
        self._file.write(json.dumps(asdict(one), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries[one.key] = one

    def of(self, task: str) -> dict[int, Answered]:
        """Return the last answer for a task about each cluster."""
        return {one.cluster: one for one in self.entries.values() if one.task == task}

    def _last_byte(self, size: int) -> bytes:
        self._file.seek(size - 1)
        return self._file.read(1)


def _read(line: bytes) -> Answered | None:
    try:
        found = _ADAPTER.validate_json(line)
    except ValidationError:
        return None
    return found if found.version == VERSION else None


_ADAPTER = TypeAdapter(Answered)
