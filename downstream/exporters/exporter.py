"""Exporter protocol: what a format is called, which options it takes, and how it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot

Choices = Mapping[str, Any]
"""What was chosen, by the options' names; every option of the exporter is there."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an exporter, ``--name``.

    default: its type is the type of the option; None is a text that may be missing, and then
    ``shown`` says what is taken instead. many: the option may be repeated, and its value is a tuple
    of texts.
    """

    name: str
    help: str
    default: str | int | bool | None = None
    shown: str = ""
    many: bool = False


class Exporter(Protocol):
    """A format. name: on the command line. summary: a line for the list of formats."""

    @property
    def name(self) -> str:
        """What the format is called on the command line."""

    @property
    def summary(self) -> str:
        """One line about it."""

    @property
    def options(self) -> tuple[Option, ...]:
        """What can be chosen."""

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the files of a snapshot, and return what a reader of them has to know.

        The same snapshot and choices give the same bytes. Files that ``out`` has already are left
        as they are. Raises UserError for choices that the snapshot cannot serve.
        """
