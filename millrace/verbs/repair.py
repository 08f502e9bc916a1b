"""``millrace repair``."""

from pathlib import Path

import click

from millrace.options import broker_option, given, run_option, settings, settings_option


@click.command()
@settings_option
@broker_option
@run_option
def repair(settings_file: Path | None, broker: str | None, run_name: str | None) -> None:
    """Rewind a run's activation side to the first batch that its aggregate side lacks.

    Stop the activation workers first, and start them again afterwards. What the aggregate side has
    already is not counted twice.
    """
    from consumers.service import repair as repairing
    from streams.plan import make_plan
    from streams.run_catalog import get_run
    from streams.transport.connect import connect

    chosen = settings(settings_file, broker=broker, run=given({"name": run_name}))
    client = connect(chosen.access)
    plan = make_plan(get_run(client, chosen.run.name))
    for line in repairing.lines(repairing.repair(client, plan), plan, client):
        click.echo(line)
