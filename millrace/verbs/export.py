"""``millrace export FORMAT SNAPSHOT OUT``: a snapshot in the format of another tool."""

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from downstream.exporters.exporter import Exporter, Option
from downstream.exporters.registry import EXPORTERS
from millrace.did_you_mean import SuggestingGroup
from millrace.options import option

_REST = (
    click.argument("snapshot"),
    click.argument("out"),
    click.option("--run", metavar="NAME", help="Run, where SNAPSHOT is a store of several."),
    click.option("--snapshot", "name", metavar="NAME", help="Snapshot of the run; else final."),
    click.option("--replace", is_flag=True, help="Take the place of an OUT that is there."),
)


@click.command(cls=SuggestingGroup, short_help="A snapshot in the format of another tool.")
def export() -> None:
    """Write a snapshot in the format of another tool.

    SNAPSHOT is a store, a run's folder or a snapshot's folder. OUT, a file or folder, appears
    whole; an export that broke off goes on when it is asked for again. Each FORMAT has a --help.
    """


def _command(exporter: Exporter) -> click.Command:
    """Return the command of a format."""
    run: Callable[..., None] = partial(_export, exporter)
    for decorate in reversed((*_REST, *map(_option, exporter.options))):
        run = decorate(run)
    doc = f"{(type(exporter).__doc__ or exporter.summary).strip()}"
    return click.command(exporter.name, help=doc, short_help=exporter.summary)(run)


def _option(one: Option) -> Callable[[Any], Any]:
    """Return what adds an exporter's option to a command."""
    names = (f"--{one.name}", one.name.replace("-", "_"))
    if isinstance(one.default, bool):
        flag = f"--{one.name}/--no-{one.name}"
        return option(flag, names[1], default=one.default, show_default=True, help=one.help)
    given: dict[str, Any] = {"multiple": True} if one.many else {}
    if one.default not in (None, ""):
        given = {"default": one.default, "type": type(one.default)}
    shown = one.shown or given.get("default") is not None
    return option(*names, show_default=shown, help=one.help, **given)


def _export(
    exporter: Exporter,
    snapshot: str,
    out: str,
    run: str | None,
    name: str | None,
    replace: bool,
    **options: Any,
) -> None:
    from downstream.exporters.exporting import export as write
    from downstream.reading.snapshot import open_snapshot

    opened = open_snapshot(snapshot, run, name)
    choices = {one.name: options[one.name.replace("-", "_")] for one in exporter.options}
    done = write(exporter, opened, out, choices, replace=replace)
    click.echo(f"{done.path}{' (continued)' if done.continued else ''}")
    for note in done.notes:
        click.echo(f"  {note}")


for _exporter in EXPORTERS:
    export.add_command(_command(_exporter))
