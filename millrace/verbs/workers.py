"""``millrace activations`` and ``millrace aggregates``: what a container runs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from millrace.options import (
    broker_option,
    device_option,
    given,
    run_option,
    settings,
    settings_option,
    stacked,
)

if TYPE_CHECKING:
    from millrace.settings import Settings
    from streams.plan import Plan

_worker_options = stacked(
    settings_option,
    broker_option,
    run_option,
    click.option("--until-done", is_flag=True, help="End once the final snapshot is written."),
    click.option(
        "--wait", type=float, default=0.0, help="Seconds to wait for the run to be created."
    ),
    click.option(
        "--session",
        type=float,
        default=60.0,
        show_default=True,
        help="Seconds of silence after which others take over this worker's partitions.",
    ),
)


@click.command()
@_worker_options
@device_option
def activations(
    settings_file: Path | None,
    broker: str | None,
    run_name: str | None,
    until_done: bool,
    wait: float,
    session: float,
    device: str | None,
) -> None:
    """Compute activations for a run: start as many of these as there are devices."""
    chosen = _settings(settings_file, broker, run_name, device)
    plan = _plan(chosen, wait)
    from consumers.creation import load_engine
    from consumers.progress import Progress
    from consumers.serving import Crew, serve_run

    engine = load_engine(plan, chosen.model.device)
    serve_run(
        plan,
        chosen.broker,
        Crew(activations=1),
        lambda: engine,
        Progress(),
        until_final=until_done,
        session=session,
    )


@click.command()
@_worker_options
def aggregates(
    settings_file: Path | None,
    broker: str | None,
    run_name: str | None,
    until_done: bool,
    wait: float,
    session: float,
) -> None:
    """Keep a run's per-cluster state and write its snapshots: up to one of these per shard."""
    chosen = _settings(settings_file, broker, run_name, None)
    plan = _plan(chosen, wait)
    from consumers.progress import Progress
    from consumers.serving import Crew, serve_run
    from streams.errors import StreamError

    def no_engine() -> "None":
        raise StreamError("an aggregate worker computes nothing")

    serve_run(
        plan,
        chosen.broker,
        Crew(aggregates=1),
        no_engine,  # type: ignore[arg-type]
        Progress(),
        until_final=until_done,
        session=session,
    )


def _settings(
    file: Path | None, broker: str | None, run_name: str | None, device: str | None
) -> "Settings":
    return settings(
        file, broker=broker, run=given({"name": run_name}), model=given({"device": device})
    )


def _plan(chosen: "Settings", wait: float) -> "Plan":
    """Return the plan of the run, waiting for its record to appear for a while if asked to."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

    from streams.errors import RunError
    from streams.plan import make_plan
    from streams.run_catalog import get_run
    from streams.transport.client import connect

    client = connect(chosen.broker)
    attempts = Retrying(
        retry=retry_if_exception_type(RunError),
        stop=stop_after_delay(wait),
        wait=wait_fixed(1.0),
        reraise=True,
    )
    return make_plan(attempts(get_run, client, chosen.run.name))
