"""Declaring a snapshot failed: it will never be there, and nobody waits for it."""

import logging
from datetime import UTC, datetime

from consumers.snapshots.snapshots import is_settled, publish, published
from streams.errors import SnapshotError
from streams.failed_manifest import FailedManifest, failed_manifest
from streams.plan import Plan
from streams.snapshot import FINAL, to_json
from streams.store import open_store, write_manifest
from streams.transport.client import Client

log = logging.getLogger(__name__)


def give_up(plan: Plan, client: Client, snapshot: str, why: str) -> FailedManifest | None:
    """Publish the failed manifest of a snapshot, unless that is there or was given up already."""
    run, now = plan.run, datetime.now(UTC).isoformat(timespec="seconds")
    if is_settled(plan, snapshot, published(client, run.name).get(snapshot, {})):
        return None
    failed = failed_manifest(run.name, plan.id, snapshot, why, now)
    try:
        write_manifest(open_store(run.store), failed)
    except SnapshotError as error:
        log.warning("That snapshot %s failed is not in the store: %s", snapshot, error)
    publish(client, f"{run.name}/{snapshot}", to_json(failed))
    return failed


def fail_run(client: Client, plan: Plan, why: str) -> None:
    """Do so for the final snapshot, which is to declare that the run has failed."""
    give_up(plan, client, FINAL, why)
