"""A map of features, attached to a snapshot by tests."""

from downstream.derived.feature_map import FEATURE_MAP
from streams.snapshots.attachments import make_attachment, write_attachment
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store

PLACES = {0: (-1.0, 2.0), 1: (0.0, 0.5), 2: (3.0, -2.0)}
"""Where the features lie that have a place."""


def attach_map(manifest: RunManifest) -> None:
    """Attach a map in which only some features have a place."""
    x, y = zip(*PLACES.values(), strict=True)
    features = list(PLACES)
    columns = {"feature": features, "source": ["sae"] * 3, "index": features, "x": x, "y": y}
    tables = {FEATURE_MAP: FEATURE_MAP.table(columns)}
    when = "2031-05-06T07:08:09Z"
    made = make_attachment(manifest, "feature_map", tables, created=when, provenance={})
    write_attachment(open_store(manifest.store), made, tables)
