"""The circuit breaker: where too much is refused, the records are not what is wrong."""

from dataclasses import dataclass, replace

from consumers.health.limits import Limits
from streams.errors import TooManyDeadLettersError


@dataclass(frozen=True, slots=True)
class Breaker:
    """What one side of a worker has processed since its start, and refused of it.

    in_a_row: refused ones since the last that was not.
    """

    limits: Limits
    records: int = 0
    refused: int = 0
    in_a_row: int = 0

    def after(self, refused: bool) -> "Breaker":
        """Return the breaker after one more record."""
        return replace(
            self,
            records=self.records + 1,
            refused=self.refused + refused,
            in_a_row=self.in_a_row + 1 if refused else 0,
        )

    def check(self) -> None:
        """Raise TooManyDeadLettersError once a limit is reached or passed."""
        if self.in_a_row >= self.limits.dead_letter_run:
            raise TooManyDeadLettersError(
                f"{self.in_a_row} records in a row became dead letters: look at them with millrace "
                "dlq list and mend the cause, or raise limits.dead_letter_run"
            )
        ratio = self.refused / max(1, self.records)
        enough = self.records >= self.limits.dead_letter_records
        if enough and ratio > self.limits.dead_letter_ratio:
            raise TooManyDeadLettersError(
                f"{self.refused} of {self.records} records became dead letters, more than "
                f"{self.limits.dead_letter_ratio:.1%}: look at them with millrace dlq list and "
                "mend the cause, or raise limits.dead_letter_ratio"
            )
