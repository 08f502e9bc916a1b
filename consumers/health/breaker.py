"""Circuit breaker: where too much is refused, the records are not what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from consumers.health.limits import Limits
from streams.errors import TooManyDeadLettersError


@dataclass(frozen=True, slots=True)
class Breaker:
    """What one side of a worker has lately refused.

    It ends the worker at either limit: ``dead_letter_run`` refused records in a row in one
    partition; or more than a share of ``dead_letter_ratio`` of the last ``dead_letter_records``
    records of all partitions, where those from before the start count as processed. So a few
    refused ones among the first say nothing, records that lie further back never count, and a
    worker that starts again behind what it refused starts with nothing against it.

    records: handled since the start. recent: the numbers, from 1, of those refused among the last
    ones. in_a_row: per partition, refused ones since the last that was not.
    """

    limits: Limits
    records: int = 0
    recent: tuple[int, ...] = ()
    in_a_row: Mapping[int, int] = field(default_factory=dict)

    def after(self, partition: int, refused: bool) -> "Breaker":
        """Return the breaker after one more record of a partition of the input."""
        records, row = self.records + 1, self.in_a_row.get(partition, 0)
        recent, oldest = self.recent, records - self.limits.dead_letter_records
        if recent and recent[0] <= oldest:
            recent = recent[1:]  # the numbers are distinct, so no other one leaves with it
        if refused:
            recent, row = (*recent, records), row + 1
        elif row:
            row = 0
        else:
            return replace(self, records=records, recent=recent)
        return replace(
            self, records=records, recent=recent, in_a_row={**self.in_a_row, partition: row}
        )

    def verdict(self) -> TooManyDeadLettersError | None:
        """Return why the worker must end, None while it may go on; ask after every record."""
        for partition, row in self.in_a_row.items():
            if row >= self.limits.dead_letter_run:
                return TooManyDeadLettersError(
                    f"{row} records in a row of partition {partition} became dead letters: look at "
                    "them with millrace dlq list and mend the cause, or raise "
                    "limits.dead_letter_run; the next start goes on behind them"
                )
        refused, window = len(self.recent), self.limits.dead_letter_records
        if refused / window > self.limits.dead_letter_ratio:
            return TooManyDeadLettersError(
                f"{refused} of the last {min(self.records, window):,} records became dead letters, "
                f"more than {self.limits.dead_letter_ratio:.1%} of {window:,}: look at them with "
                "millrace dlq list and mend the cause, or raise limits.dead_letter_ratio; the next "
                "start goes on behind them"
            )
        return None
