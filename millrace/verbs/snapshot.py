"""``millrace snapshot`` and ``millrace verify``: a snapshot in mid-run, and its hashes checked."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from millrace.options import broker_option, given, run_option, settings, settings_option
from streams.errors import SnapshotError


@click.command()
@settings_option
@broker_option
@run_option
@click.option("--name", help="Name of the snapshot; by default the time.")
@click.option("--timeout", type=float, default=300.0, show_default=True, help="Seconds to wait.")
def snapshot(
    settings_file: Path | None,
    broker: str | None,
    run_name: str | None,
    name: str | None,
    timeout: float,
) -> None:
    """Take a snapshot of a run as it stands; ingestion goes on meanwhile.

    Ends with status 1 if the snapshot is given up, or the run has failed.
    """
    from consumers.plan import make_plan
    from consumers.snapshots.snapshots import assembled, published, request_snapshot
    from streams.catalog.runs import expect_corpus, get_run
    from streams.snapshots.manifests import FINAL
    from streams.transport.connect import connect

    chosen = settings(settings_file, broker=broker, run=given({"name": run_name}))
    client = connect(chosen.access)
    record = get_run(client, chosen.run_name)
    expect_corpus(client, record)
    plan = make_plan(record)
    wanted = name or datetime.now(UTC).strftime("at-%Y%m%d-%H%M%S")
    request_snapshot(client, record, wanted)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        snapshots = published(client, record.name)
        manifest = assembled(plan, wanted, snapshots.get(wanted, {}))
        if manifest is not None:
            click.echo(f"{manifest.store}/{manifest.run}/{wanted}/manifest.json")
            click.echo(f"content {manifest.content}")
            return
        assembled(plan, FINAL, snapshots.get(FINAL, {}))
        time.sleep(0.5)
    raise SnapshotError(
        f"snapshot {wanted} of run {record.name} is not there after {timeout:g} s: "
        "are aggregate workers running for every shard?"
    )


@click.command()
@click.argument("manifest")
def verify(manifest: str) -> None:
    """Check the files of the snapshot at MANIFEST and print its content hash."""
    from downstream.reading.snapshot import open_snapshot

    click.echo(f"content {open_snapshot(manifest).verify()}")
