"""Declaring a run failed: its final snapshot will never be there, and nobody waits for it."""

import logging
from datetime import UTC, datetime

from consumers.snapshots.snapshots import final_manifest, publish
from streams.errors import SnapshotError, SnapshotFailedError
from streams.failed_manifest import failed_manifest
from streams.plan import Plan
from streams.snapshot import FINAL, to_json
from streams.store import open_store, write_manifest
from streams.transport.client import Client

log = logging.getLogger(__name__)


def fail_run(client: Client, plan: Plan, why: str) -> None:
    """Publish the failed manifest of a run, unless it has ended already, one way or the other."""
    try:
        if final_manifest(client, plan) is not None:
            return
    except SnapshotFailedError:
        return
    run, now = plan.run, datetime.now(UTC).isoformat(timespec="seconds")
    failed = failed_manifest(run.name, plan.id, FINAL, why, now)
    try:
        write_manifest(open_store(run.store), failed)
    except SnapshotError as error:
        log.warning("That run %s failed is not in its store: %s", run.name, error)
    publish(client, f"{run.name}/{FINAL}", to_json(failed))
