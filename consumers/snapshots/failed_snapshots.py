"""Failed snapshots: declared to be never there, so that nobody waits for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from consumers.plan import Plan
from consumers.snapshots.snapshots import is_settled, publish, published
from streams import topics
from streams.errors import AccessError, BrokerError, SnapshotError
from streams.snapshots.failed_manifest import FailedManifest, failed_manifest, find_failed
from streams.snapshots.manifests import FINAL, to_json
from streams.snapshots.store import open_store, write_manifest
from streams.transport.client import Client

log = logging.getLogger(__name__)


def give_up(plan: Plan, client: Client, snapshot: str, why: str) -> FailedManifest | None:
    """Publish the failed manifest of a snapshot, unless that is there or was given up already.

    That of the final one declares that the run has failed.
    """
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


def is_broker_away(error: Exception) -> bool:
    """Return whether an error may be over when the broker is asked again: no cause to give up."""
    return isinstance(error, BrokerError) and not isinstance(error, AccessError)


@contextmanager
def failure_taken_back(client: Client, plan: Plan) -> Iterator[FailedManifest | None]:
    """Take back that a run has failed, and how often its parts were lost; yield what was said.

    The assembler of its final snapshot then tries again, and finds out if nothing has changed.
    If the block raises, the run has failed as before.
    """
    entries = published(client, plan.run.name).get(FINAL, {})
    failed = find_failed(entries.get("", b""))
    if failed is None:
        yield None
        return
    with client.sender() as sender:
        for name in entries:
            if not name.isdecimal():
                key = f"{plan.run.name}/{FINAL}" + (f"/{name}" if name else "")
                sender.send(topics.SNAPSHOTS.name, 0, None, key=key.encode())
        sender.flush()
    try:
        yield failed
    except Exception:
        publish(client, f"{plan.run.name}/{FINAL}", to_json(failed))
        raise
