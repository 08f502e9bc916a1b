"""Labels made at the command line."""

from collections.abc import Iterator
from datetime import UTC, datetime

from downstream.derived.attach import write_derived
from downstream.labelling.local_labels import local_labels
from downstream.reading.made_labels import KIND, LOCAL
from downstream.reading.snapshot import Snapshot, open_snapshot
from streams.errors import SnapshotError


def final_snapshot(address: str, run: str | None) -> Snapshot:
    """Return a finished snapshot; raises SnapshotError for another one."""
    snapshot = open_snapshot(address, run)
    if not snapshot.manifest.final:
        raise SnapshotError(f"snapshot {snapshot.name!r} is not final: attach to a final one")
    return snapshot


def now() -> str:
    """Return the time for a manifest."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def label_locally(address: str, run: str | None) -> Iterator[str]:
    """Attach labels that need no language model; yield what was done."""
    snapshot = final_snapshot(address, run)
    made = local_labels(snapshot)
    manifest = write_derived(KIND, snapshot, made, created=now(), name=LOCAL)
    yield f"{KIND}/{LOCAL}: {manifest.tables[0].rows:,} labels"
    yield from (f"  left out: {line}" for line in made.left_out)
