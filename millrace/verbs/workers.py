"""``millrace activations`` and ``millrace aggregates``: what a container runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millrace.monitoring import log_format_option, metrics_options
from millrace.options import (
    Seconds,
    broker_option,
    device_option,
    given,
    option,
    run_option,
    settings,
    settings_option,
    stacked,
)

if TYPE_CHECKING:
    from consumers.health.progress import Progress
    from consumers.plan import Plan
    from millrace.settings import Settings

_limit_options = stacked(
    option(
        "--session",
        type=float,
        metavar="SECONDS",
        show_default="60, or a third of --stall",
        help="Silence after which others take over this worker's partitions.",
    ),
    option(
        "--stall", type=float, help="Seconds without progress, although there is work, to end at."
    ),
    option(
        "--dead-letter-ratio",
        type=float,
        help="Share of refused records, of the last 1000, to end at.",
    ),
    option(
        "--dead-letter-run", type=int, help="Refused records in a row, of one partition, to end at."
    ),
)
_worker_options = stacked(
    settings_option,
    broker_option,
    run_option,
    option(
        "--until-done",
        is_flag=True,
        envvar="MILLRACE_UNTIL_DONE",
        show_envvar=True,
        help="End once the final snapshot is written.",
    ),
    option(
        "--wait",
        type=Seconds(),
        metavar="SECONDS",
        default=0.0,
        show_default=True,
        envvar="MILLRACE_WAIT",
        show_envvar=True,
        help="How long to wait for the run to be created.",
    ),
    _limit_options,
    metrics_options,
    log_format_option,
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
    metrics_port: int | None,
    metrics_host: str,
    device: str | None,
    **limits: Any,
) -> None:
    """Compute activations for a run: start as many of these as there are devices."""
    chosen = _settings(settings_file, broker, run_name, limits, device)
    plan = _plan(chosen, wait, until_done)
    if not _has_work(chosen, plan):
        return
    from consumers.activations.device_status import device_status
    from consumers.models.devices import say_device
    from consumers.runs.loading import load_engine
    from consumers.service.serving import Crew, serve_run
    from consumers.snapshots.verdict import expect_few_refused

    with _measured(metrics_port, metrics_host) as progress:
        engine = load_engine(plan, chosen.model.device, chosen.trusted_sources())
        progress.device = partial(device_status, engine)
        say_device(engine.model.device)
        final = serve_run(
            plan,
            chosen.access,
            Crew(activations=1),
            lambda: engine,
            progress,
            until_final=until_done,
            session=chosen.session(),
            limits=chosen.worker_limits(),
        )
    expect_few_refused(final)


@click.command()
@_worker_options
def aggregates(
    settings_file: Path | None,
    broker: str | None,
    run_name: str | None,
    until_done: bool,
    wait: float,
    metrics_port: int | None,
    metrics_host: str,
    **limits: Any,
) -> None:
    """Keep a run's per-cluster state and write its snapshots: up to one of these per shard."""
    from consumers.service.allocation import share

    share(os.environ)  # first of all, because Arrow looks there when it is imported
    chosen = _settings(settings_file, broker, run_name, limits)
    plan = _plan(chosen, wait, until_done)
    if not _has_work(chosen, plan):
        return
    from consumers.service.serving import Crew, serve_run
    from consumers.snapshots.verdict import expect_few_refused
    from streams.errors import StreamError

    def no_engine() -> "None":
        raise StreamError("an aggregate worker computes nothing")

    with _measured(metrics_port, metrics_host) as progress:
        final = serve_run(
            plan,
            chosen.access,
            Crew(aggregates=1),
            no_engine,  # type: ignore[arg-type]
            progress,
            until_final=until_done,
            session=chosen.session(),
            limits=chosen.worker_limits(),
        )
    expect_few_refused(final)


@contextmanager
def _measured(port: int | None, host: str) -> "Iterator[Progress]":
    """Yield what counts a worker's progress, served as metrics if a port is given."""
    from consumers.health.progress import Progress

    progress = Progress()
    if port is None:
        yield progress
        return
    from consumers.health.metrics import Address, served

    with served(progress, Address(host, port)):
        yield progress


def _settings(
    file: Path | None,
    broker: str | None,
    run_name: str | None,
    limits: dict[str, Any],
    device: str | None = None,
) -> "Settings":
    return settings(
        file,
        broker=broker,
        run=given({"name": run_name}),
        model=given({"device": device}),
        limits=given(limits),
    )


def _plan(chosen: "Settings", wait: float, until_done: bool) -> "Plan":
    """Return the plan of the run, waiting for its record to appear for a while if asked to.

    Raises SnapshotFailedError, before anything is loaded, if the run to wait for has failed.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

    from consumers.plan import make_plan
    from consumers.snapshots.verdict import expect_not_failed
    from streams.catalog.runs import get_run
    from streams.errors import RunError
    from streams.timeouts import expect_session
    from streams.transport.connect import connect

    client = connect(chosen.access)
    expect_session(client, chosen.session())
    attempts = Retrying(
        retry=retry_if_exception_type(RunError),
        stop=stop_after_delay(wait),
        wait=wait_fixed(1.0),
        reraise=True,
    )
    plan = make_plan(attempts(get_run, client, chosen.run_name))
    if until_done:
        expect_not_failed(client, plan)
    return plan


def _has_work(chosen: "Settings", plan: "Plan") -> bool:
    """Return whether there is anything to serve: not of a finished run whose corpus was deleted.

    Raises RunError if the corpus of an unfinished one was, or the run's own topic is missing.
    """
    from consumers.runs.deletion import is_finished
    from millrace.progress_bars import say
    from streams import topics
    from streams.catalog.runs import expect_corpus, expect_partials
    from streams.transport.connect import connect

    client, run = connect(chosen.access), plan.run
    if topics.tokens(run.corpus, run.partitions).name in client.topics():
        expect_partials(client, run)
        return True
    if not is_finished(client, run):
        expect_corpus(client, run)
    say(f"run {run.name} is finished and its corpus was deleted: nothing to do")
    return False
