"""How a producer tells how far it is; the command line draws bars, others may ignore it."""

from typing import Protocol


class ProducerProgress(Protocol):
    """Hears of what was done, as it is done."""

    def advance(self, rows: int, tokens: int) -> None:
        """So many rows and tokens more are sent, or were found to be in the topic already."""

    def say(self, text: str) -> None:
        """Something the user should know, one line."""


class Silent:
    """A ProducerProgress that nobody watches."""

    def advance(self, rows: int, tokens: int) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""
