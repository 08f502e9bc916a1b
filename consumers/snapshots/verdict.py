"""What a run came to, for those who wait for it: each of them ends with the same status."""

from consumers.plan import Plan
from consumers.snapshots.snapshots import final_manifest
from streams.errors import TooManyRefusedError
from streams.snapshots.manifests import RunManifest
from streams.transport.client import Client


def expect_not_failed(client: Client, plan: Plan) -> None:
    """Raise SnapshotFailedError if a run has failed for good."""
    final_manifest(client, plan)


def expect_few_refused(manifest: RunManifest | None) -> None:
    """Raise TooManyRefusedError if a final snapshot lacks more of the text than limits allow."""
    if manifest is not None and manifest.excess_refusals:
        raise TooManyRefusedError(
            f"run {manifest.run} has its final snapshot, but {manifest.excess_refusals}"
        )
