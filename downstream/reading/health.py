"""Health of a run's sources: how many features are active and dead, and what was measured."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table


def health_of(manifest: RunManifest) -> list[dict[str, Any]]:
    """Return a row per source, in the order of the run.

    source, features, dropped, dead, dead_share (of those not dropped) and l0 (active per valid
    token), all exact; and the columns of the table ``health``, of a run that has it. Raises
    SnapshotError if a table is missing or damaged.
    """
    wanted = ["source", "firing_tokens", "dead", "dropped"]
    features = read_table(manifest, "features", columns=wanted)
    tokens = max(1, read_table(manifest, "totals", columns=["tokens"])["tokens"][0].as_py())
    measured = {}
    if manifest.table("health") is not None:
        measured = {row["source"]: row for row in read_table(manifest, "health").to_pylist()}
    found = []
    for source in manifest.about.get("sources", ()):
        name = source["name"]
        own = features.filter(pc.equal(features["source"], pa.scalar(name)))
        dead, dropped = (pc.sum(own[column]).as_py() or 0 for column in ("dead", "dropped"))
        found.append(
            {
                "source": name,
                "features": len(own),
                "dropped": dropped,
                "dead": dead,
                "dead_share": dead / max(1, len(own) - dropped),
                "l0": (pc.sum(own["firing_tokens"]).as_py() or 0) / tokens,
                **measured.get(name, {}),
            }
        )
    return found
