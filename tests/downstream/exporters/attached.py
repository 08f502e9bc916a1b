"""Attachments of the small snapshot: a logit lens and neighbours of its five features."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from streams.snapshots.attachments import make_attachment, write_attachment
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store
from streams.snapshots.tables import Column, TableForm

FEATURE = (
    Column("feature", pa.int32(), "feature"),
    Column("source", pa.string(), "source"),
    Column("index", pa.int32(), "index"),
)
LENS = TableForm(
    "logit_lens",
    "logits",
    ("feature", "convention"),
    (
        *FEATURE,
        Column("convention", pa.string(), "convention"),
        Column("top_tokens", pa.list_(pa.int32()), "ids"),
        Column("top_logits", pa.list_(pa.float32()), "logits"),
        Column("bottom_tokens", pa.list_(pa.int32()), "ids"),
        Column("bottom_logits", pa.list_(pa.float32()), "logits"),
        Column("min_logit", pa.float32(), "smallest"),
        Column("max_logit", pa.float32(), "largest"),
        Column("histogram", pa.list_(pa.int64()), "tokens per bin"),
    ),
)
NEIGHBOURS = TableForm(
    "neighbours",
    "cosines",
    ("feature", "direction", "other_source"),
    (
        *FEATURE,
        Column("direction", pa.string(), "direction"),
        Column("other_source", pa.string(), "source"),
        Column("other_indices", pa.list_(pa.int32()), "indices"),
        Column("cosines", pa.list_(pa.float32()), "cosines"),
    ),
)


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
    _write(snapshot, "logit_lens", {LENS: lens})
    _write(snapshot, "neighbours", {NEIGHBOURS: near})


def _feature(index: int) -> dict[str, Any]:
    return {"feature": index, "source": "sae", "index": index}


def _write(snapshot: RunManifest, kind: str, rows: Mapping[TableForm, list[Any]]) -> None:
    tables = {f: pa.Table.from_pylist(listed, schema=f.schema) for f, listed in rows.items()}
    made = make_attachment(
        snapshot, kind, tables, created="2031-05-06T07:08:09+00:00", provenance={}
    )
    write_attachment(open_store(snapshot.store), made, tables)
