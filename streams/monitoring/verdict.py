"""What a process answers to a probe."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to a probe, and in one line why."""

    ok: bool
    reason: str


class Health(Protocol):
    """What a process says of itself; asked from the threads of the endpoint."""

    def live(self) -> Verdict:
        """Say whether the process should go on; a process manager restarts it if not."""

    def ready(self) -> Verdict:
        """Say whether the process does its work by now."""
