"""Attachments of the small snapshot: a logit lens and neighbours of its five features."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from downstream.derived.logit_lens import LOGIT_LENS
from downstream.derived.neighbours import NEIGHBOURS
from streams.snapshots.attachments import make_attachment, write_attachment
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store
from streams.snapshots.tables import TableForm


def attach(snapshot: RunManifest) -> None:
    """Attach both to a snapshot; feature 3 has no logit lens."""
    lens = [
        {
            **_feature(index),
            "convention": convention,
            "top_tokens": [1, 2],
            "top_logits": [index + (convention == "raw"), 0.1],
            "bottom_tokens": [3, 4],
            "bottom_logits": [-2.0, -1.5],
            "min_logit": -2.0,
            "max_logit": 2.0,
            "mean_logit": 0.5,
            "std_logit": 1.0,
            "histogram": [1, 2, 3, 4],
        }
        for index in (0, 1, 2, 4)
        for convention in ("folded", "raw")
    ]
    near = [
        {
            **_feature(index),
            "direction": direction,
            "other_source": "sae",
            "other_indices": [(index + 1) % 5, (index + 2) % 5],
            "cosines": [0.5, 0.25] if direction == "decoder" else [0.75, 0.125],
        }
        for index in range(5)
        for direction in ("decoder", "encoder")
    ]
    _write(snapshot, "logit_lens", {LOGIT_LENS: lens})
    _write(snapshot, "neighbours", {NEIGHBOURS: near})


def _feature(index: int) -> dict[str, Any]:
    return {"feature": index, "source": "sae", "index": index}


def _write(snapshot: RunManifest, kind: str, rows: Mapping[TableForm, list[Any]]) -> None:
    tables = {f: pa.Table.from_pylist(listed, schema=f.schema) for f, listed in rows.items()}
    made = make_attachment(
        snapshot, kind, tables, created="2031-05-06T07:08:09+00:00", provenance={}
    )
    write_attachment(open_store(snapshot.store), made, tables)
