"""The snapshot whose files lie in ``v2/store``, written out: what version 2 must mean for ever.

Two features of a dictionary and a cluster of both, over two short rows. Nothing here may change.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from streams.snapshots.content import content_of, table_hash
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store, write_manifest, write_part
from streams.snapshots.table_entry import table_entry
from streams.snapshots.tables import TABLES

CONTENT = "61ea175b01b36a08268ddcbaa88e1eff9a5d03a2c54ec0c82b02439526ef2845"
_KEYS = bytes(range(16)), bytes(range(16, 32))


def _cluster(number: int, clustering: str, label: str, *members: str, **given: Any) -> Any:
    tokens = given["tokens"]
    return {
        "cluster": number,
        "clustering": clustering,
        "iteration": 0,
        "label": label,
        "members": list(members),
        "dropped_members": [],
        "firing_tokens": tokens,
        "firing_rows": given["rows"],
        "activation_density": tokens / 5,
        "activation_sum": given["sum"],
        "mean_activation": given["sum"] / 2 / max(tokens, 1),
        "min_activation": given["low"],
        "max_activation": given["high"],
        "activation_histogram": given["bins"],
        "coactivation_counted": True,
        "member_coactivation_counted": len(members) > 1,
    }


def _hit(cluster: int, rank: int, row: int, **given: Any) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "ranking": "maximum",
        "rank": rank,
        "score": given["score"],
        "sample": _KEYS[row],
        "peak": given["peak"],
        "partition": 0,
        "sequence": 2**33,
        "row": row,
        "positions": given["at"],
        "activations": given["values"],
        "member_indices": given["members"],
        "member_positions": given["where"],
        "member_activations": given["signed"],
    }


def rows() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table."""
    both = {"members": [0, 1], "where": [1, 2], "signed": [1.5, 0.5]}
    return {
        "clusters": [
            _cluster(
                0, "features/sae", "0", "sae:0", tokens=2, rows=2, sum=5, low=1.0, high=1.5,
                bins=[0, 2],
            ),
            _cluster(
                1, "features/sae", "1", "sae:1", tokens=1, rows=1, sum=1, low=0.5, high=0.5,
                bins=[1, 0],
            ),
            _cluster(
                2, "by hand", "both", "sae:0", "sae:1", tokens=3, rows=2, sum=6, low=0.5, high=1.5,
                bins=[1, 2],
            ),
        ],
        "hits": [
            _hit(
                0, 0, 0, score=1.5, peak=1, at=[1], values=[1.5], members=[0], where=[1],
                signed=[1.5],
            ),
            _hit(
                0, 1, 1, score=1.0, peak=0, at=[0], values=[1.0], members=[0], where=[0],
                signed=[1.0],
            ),
            _hit(
                1, 0, 0, score=0.5, peak=2, at=[2], values=[0.5], members=[0], where=[2],
                signed=[0.5],
            ),
            _hit(2, 0, 0, score=1.5, peak=1, at=[1, 2], values=[1.5, 0.5], **both),
        ],
        "samples": [
            {
                "partition": 0, "sequence": 2**33, "row": row, "sample": _KEYS[row],
                "document": document, "domain": "prose", "ids": ids,
            }
            for row, document, ids in ((0, "naïve.txt", [0, 1, 2]), (1, "", [2, 0]))
        ],
        "coactivation": [],
        "member_coactivation": [
            {"cluster": 2, "member_a": 0, "member_b": 0, "tokens": 2},
            {"cluster": 2, "member_a": 1, "member_b": 1, "tokens": 1},
        ],
        "features": [
            {
                "feature": number, "source": "sae", "index": number, "firing_tokens": tokens,
                "activation_density": tokens / 5, "dead": False, "dropped": False,
            }
            for number, tokens in ((0, 2), (1, 1))
        ],
        "totals": [{"tokens": 5, "rows": 2, "batches": 1, "refused": 0}],
        "vocabulary": [
            {"id": id_, **dict.fromkeys(("token", "first", "last", "alone"), token)}
            for id_, token in enumerate((b"the", " café".encode(), b"\xff"))
        ],
    }  # fmt: skip


def write_golden_snapshot(folder: Path) -> RunManifest:
    """Write the snapshot into a store."""
    store = open_store(str(folder))
    tables = {n: pa.Table.from_pylist(r, schema=TABLES[n].schema) for n, r in rows().items()}
    hashed = {name: table_hash(table.schema, [table]) for name, table in tables.items()}
    manifest = RunManifest(
        version=2,
        run="prose",
        run_id="ab" * 16,
        identity="ba" * 16,
        snapshot="final",
        final=True,
        content=content_of({name: each.hash for name, each in hashed.items()}),
        created="2026-01-02T03:04:05+00:00",
        store="elsewhere",
        chains=((2**33,),),
        tables=tuple(table_entry(TABLES[n], each, content=True) for n, each in hashed.items()),
        files=tuple(write_part(store, "prose", n, 0, table) for n, table in tables.items()),
        about={
            "model": "gpt2", "corpus": "text", "context": 3, "criteria": ["maximum"], "k": 2,
            "edges": [1.0], "sum_bits": 1, "sources": [{"name": "sae"}],
            "clusterings": [{"name": "by hand", "iteration": 0, "clusters": 1}],
        },
    )  # fmt: skip
    write_manifest(store, manifest)
    return manifest
