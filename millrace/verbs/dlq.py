"""``millrace dlq``: dead letters listed, shown and exported."""

from pathlib import Path

import click

from millrace.did_you_mean import SuggestingGroup
from millrace.no_broker import connect_to_existing
from millrace.options import broker_option, json_option, settings, settings_option, stacked
from streams.transport.client import Client

_filters = stacked(
    settings_option,
    broker_option,
    click.option("--run", "run_name", default="", help="Only those of this run."),
    click.option("--app", default="", help="Only those of this app, produce.CORPUS for one."),
)


@click.group(cls=SuggestingGroup)
def dlq() -> None:
    """List, show and export dead letters: what could not be processed, and why."""


def _client(settings_file: Path | None, broker: str | None) -> Client:
    return connect_to_existing(settings(settings_file, broker=broker).access)


@dlq.command("list")
@_filters
@json_option
def list_(
    settings_file: Path | None, broker: str | None, run_name: str, app: str, as_json: bool
) -> None:
    """List dead letters, one line per original position; the first number is for dlq show."""
    from consumers.health.dead_letters import listing
    from millrace.listings import listed_dead_letter, to_json
    from streams.deadletters import distinct, read_dead_letters

    client = _client(settings_file, broker)
    found = distinct(read_dead_letters(client, run_name, app))
    if as_json:
        click.echo(to_json(listed_dead_letter(entry) for entry in found))
        return
    for line in listing(found):
        click.echo(line)


@dlq.command()
@click.argument("number", type=int)
@click.option("--bytes", "shown", type=int, default=256, show_default=True, help="Bytes to show.")
@settings_option
@broker_option
@json_option
def show(
    number: int, shown: int, settings_file: Path | None, broker: str | None, as_json: bool
) -> None:
    """Show the dead letter of a NUMBER: its cause, where it stood, and how its bytes begin."""
    from consumers.health.dead_letters import description
    from millrace.listings import listed_dead_letter, to_json
    from streams.deadletters import get_dead_letter

    letter = get_dead_letter(_client(settings_file, broker), number)
    if as_json:
        click.echo(to_json(listed_dead_letter(letter)))
        return
    for line in description(letter, shown):
        click.echo(line)


@dlq.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_filters
def export(
    folder: Path, settings_file: Path | None, broker: str | None, run_name: str, app: str
) -> None:
    """Write the original bytes, a file per position, and index.json to FOLDER."""
    from consumers.health import dead_letters
    from streams.deadletters import read_dead_letters

    client = _client(settings_file, broker)
    count = dead_letters.export(read_dead_letters(client, run_name, app), folder)
    click.echo(f"{count} dead letters written to {folder}")
