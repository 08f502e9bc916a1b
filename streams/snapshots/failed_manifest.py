"""The manifest of a snapshot that cannot be made: it says why, in the place of the run manifest."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated

from annotated_types import Interval
from pydantic import TypeAdapter, ValidationError

from streams.bounds import Label
from streams.errors import SnapshotFailedError
from streams.names import Name

VERSION = 2
_MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class FailedManifest:
    """A snapshot that will never be there. failed: why, one line. created: ISO 8601, UTC.

    That of the snapshot ``final`` says that the run has failed.
    """

    version: Annotated[int, Interval(ge=1, lt=2**31)]
    run: Name
    run_id: Label
    snapshot: Name
    failed: Label
    created: Label

    @property
    def error(self) -> SnapshotFailedError:
        """What whoever waits for the snapshot ends with."""
        return SnapshotFailedError(self.run, self.snapshot, self.failed)


def failed_manifest(run: str, run_id: str, snapshot: str, why: str, created: str) -> FailedManifest:
    """Return the failed manifest of a snapshot; the cause becomes one line of bounded length."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in why.strip())
    return FailedManifest(VERSION, run, run_id, snapshot, line[:_MOST_CHARACTERS], created)


def find_failed(data: bytes) -> FailedManifest | None:
    """Return the failed manifest that ``data`` holds, None if it holds something else."""
    try:
        return _adapter().validate_json(data)
    except ValidationError:
        return None


def failed_json(manifest: FailedManifest) -> bytes:
    """Return a failed manifest as JSON."""
    return _adapter().dump_json(manifest, indent=1)


@cache
def _adapter() -> TypeAdapter[FailedManifest]:
    return TypeAdapter(FailedManifest)
