"""Progress bars with rate and time left, and the table of stages at the end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from millrace.logs import logs_are_json, said_as_json

console = Console(stderr=True)


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text(f"{speed:,.0f} {unit}/s" if speed else "", style="progress.data.speed")


def shown_on_terminal() -> bool:
    """Return whether bars move, as they do on a terminal alone."""
    return console.is_terminal and not logs_are_json()


@contextmanager
def bars() -> Iterator[Progress]:
    """Yield a set of bars on the error output, one per stage; they show once one is started.

    If the block fails they go away, so that the error stands alone.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>4.0f} %"),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console, disable=logs_are_json())
    try:
        yield progress
    except BaseException:
        progress.live.transient = True
        raise
    finally:
        progress.stop()


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """Show on a terminal that something goes on that has no measure."""
    if logs_are_json():
        yield
        return
    with console.status(what):
        yield


class ProducerBar:
    """A bar for the producers: tokens of a total that is known only with a limit."""

    def __init__(self, progress: Progress, stage: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(stage, total=total, unit="tokens")

    def advance(self, rows: int, tokens: int) -> None:
        """Move the bar."""
        self._progress.start()
        self._progress.advance(self._task, tokens)

    def say(self, text: str) -> None:
        """Print a line above the bars; where logs are JSON it is an event already."""
        if logs_are_json():
            return
        self._progress.console.print(text, highlight=False, soft_wrap=True)

    def finish(self, tokens: int) -> None:
        """Show the bar as full."""
        self._progress.start()
        self._progress.update(self._task, total=tokens, completed=tokens)


def stages(seconds: Mapping[str, float]) -> None:
    """Print how long each stage took."""
    if said_as_json("; ".join(f"{name} {value:.1f} s" for name, value in seconds.items())):
        return
    table = Table(title="Stages", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.1f}")
    console.print(table)


def say(text: str) -> None:
    """Print a line for a person."""
    if not said_as_json(text):
        click.echo(text, err=True)
