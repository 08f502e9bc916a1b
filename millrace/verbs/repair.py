"""``millrace repair``: chains with a gap, filled by rewinding."""

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
    already is not counted twice. A run that has failed is tried again, once its workers start.
    """
    from consumers.plan import make_plan
    from consumers.service import repair as repairing
    from consumers.snapshots.failed_snapshots import failure_taken_back
    from streams.catalog.runs import get_run
    from streams.transport.connect import connect

    chosen = settings(settings_file, broker=broker, run=given({"name": run_name}))
    client = connect(chosen.access)
    plan = make_plan(get_run(client, chosen.run_name))
    with failure_taken_back(client, plan) as failed:
        done = repairing.repair(client, plan)
    for line in repairing.lines(done, plan, client):
        click.echo(line)
    if failed is not None:
        click.echo(f"run {plan.run.name} had failed: start its workers, and it is tried again")
