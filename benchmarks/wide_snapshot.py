"""A snapshot of a wide dictionary, drawn at random and written as the service writes one.

For measuring what reads snapshots: counts, histograms, hits and text are there in the amounts that
a run would leave; no model stands behind them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from streams.arrays import AnyArray
from streams.records.measures import default_edges
from streams.snapshots.content import content_of, table_hash
from streams.snapshots.manifests import VERSION, RunManifest
from streams.snapshots.store import open_store, write_manifest, write_part
from streams.snapshots.table_entry import PartFile, TableEntry, table_entry
from streams.snapshots.tables import TABLES

_HITS_PER_PIECE = 2**15
_SAMPLES_PER_PIECE = 1024
_SUM_BITS = 20
_ENTRIES = 2.0
"""Positions at which a feature is active in a row that it keeps, on average."""

SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in ("a", "e", "i", "o", "u", "ay"))
"""Those words of the vocabulary that are one syllable are words of the texts, too."""


@dataclass(frozen=True, slots=True)
class Width:
    """How large a drawn snapshot is. samples: rows of text that stand in it."""

    features: int
    samples: int
    k: int = 20
    context: int = 128
    vocabulary: int = 50_257
    shards: int = 4


def write_wide_snapshot(folder: str, width: Width, *, run: str = "wide") -> RunManifest:
    """Write all tables of a final snapshot and its manifest; the same width, the same bytes."""
    random = np.random.default_rng(7)
    store = open_store(folder)
    pieces = {
        "clusters": _clusters(width, random),
        "hits": _hits(width, random),
        "samples": _samples(width, random),
        "features": _features(width),
        "coactivation": iter(()),
        "member_coactivation": iter(()),
        "totals": iter([_table("totals", {"tokens": [10**9], "rows": [8 * 10**6],
                                          "batches": [1000], "refused": [0]})]),
        "vocabulary": _vocabulary(width, random),
    }  # fmt: skip
    entries, files = list[TableEntry](), list[PartFile]()
    for name, drawn in pieces.items():
        form, tables = TABLES[name], list(drawn)
        entries.append(table_entry(form, table_hash(form.schema, tables), content=True))
        files += _parts(store, run, name, tables, width.shards)
    manifest = RunManifest(
        version=VERSION,
        run=run,
        run_id="ab" * 16,
        identity="ba" * 16,
        snapshot="final",
        final=True,
        content=content_of({entry.name: entry.hash for entry in entries}),
        created="2031-05-06T07:08:09+00:00",
        store=folder,
        chains=((1,),) * width.shards,
        tables=tuple(entries),
        files=tuple(files),
        about=_about(width),
    )
    write_manifest(store, manifest)
    return manifest


def _parts(
    store: Any, run: str, name: str, tables: list[pa.Table], shards: int
) -> Iterator[PartFile]:
    """Write a table's pieces, shared out over the shards in their order."""
    cut = [round(shard * len(tables) / shards) for shard in range(shards + 1)]
    for shard in range(shards):
        yield write_part(store, run, name, shard, iter(tables[cut[shard] : cut[shard + 1]]))


def _table(name: str, columns: dict[str, Any]) -> pa.Table:
    schema = TABLES[name].schema
    arrays = [
        columns[f.name] if isinstance(columns[f.name], pa.Array) else pa.array(columns[f.name])
        for f in schema
    ]
    cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    return pa.Table.from_arrays(cast, schema=schema)


def _lists(values: AnyArray, lengths: AnyArray) -> pa.Array:
    return pa.ListArray.from_arrays(
        pa.array(np.r_[0, np.cumsum(lengths)], pa.int32()), pa.array(values)
    )


def _firing(width: Width) -> AnyArray:
    """Return active tokens per feature: densities from 1 in a million to 1 in ten, some dead."""
    random = np.random.default_rng(8)
    fired = (10 ** random.uniform(3, 8, width.features)).astype(np.int64)
    fired[random.random(width.features) < 0.02] = 0
    return fired


def _clusters(width: Width, random: np.random.Generator) -> Iterator[pa.Table]:
    fired, edges = _firing(width), default_edges()
    share = random.dirichlet(np.full(len(edges) + 1, 0.3), width.features)
    high = np.where(fired > 0, random.lognormal(1.5, 0.6, width.features), 0)
    numbers = np.arange(width.features)
    none = np.zeros(width.features, np.int64)
    yield from _cut(
        _table(
            "clusters",
            {
                "cluster": numbers,
                "clustering": ["features/sae"] * width.features,
                "iteration": none,
                "label": numbers.astype(str).tolist(),
                "members": _lists(np.char.add("sae:", numbers.astype(str)).tolist(), none + 1),
                "dropped_members": _lists(np.array([], str), none),
                "firing_tokens": fired,
                "firing_rows": fired // 2,
                "activation_density": fired / 10**9,
                "activation_sum": fired * 2**_SUM_BITS,
                "mean_activation": np.where(fired > 0, 1.0, 0.0),
                "min_activation": np.where(fired > 0, 0.01, 0.0),
                "max_activation": high,
                "activation_histogram": _lists(
                    (share * fired[:, None]).astype(np.int64).reshape(-1), none + len(edges) + 1
                ),
                "coactivation_counted": none.astype(bool),
                "member_coactivation_counted": none.astype(bool),
            },
        ),
        _HITS_PER_PIECE // 8,
    )


def _cut(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    for first in range(0, len(table), rows):
        yield table.slice(first, rows)


def _hits(width: Width, random: np.random.Generator) -> Iterator[pa.Table]:
    alive = np.flatnonzero(_firing(width))
    per_piece = _HITS_PER_PIECE // width.k
    for first in range(0, len(alive), per_piece):
        clusters = alive[first : first + per_piece]
        count = len(clusters) * width.k
        score = -np.sort(-random.exponential(1, (len(clusters), width.k)), axis=1).reshape(-1)
        length = random.geometric(1 / _ENTRIES, count).clip(max=width.context // 2)
        at = np.cumsum(length) - length
        begin = random.integers(0, width.context // 2, count)
        position = np.arange(length.sum()) + np.repeat(begin - at, length)
        value = (np.repeat(score, length) * random.random(length.sum())).astype(np.float32)
        value[at] = score
        sample = random.integers(0, width.samples, count)
        yield _table(
            "hits",
            {
                "cluster": np.repeat(clusters, width.k),
                "ranking": ["maximum"] * count,
                "rank": np.tile(np.arange(width.k), len(clusters)),
                "score": score,
                "sample": pa.array([_key(number) for number in sample.tolist()], pa.binary(16)),
                "peak": position[at],
                **_place(sample),
                "positions": _lists(position, length),
                "activations": _lists(value, length),
                "member_indices": _lists(np.zeros_like(position), length),
                "member_positions": _lists(position, length),
                "member_activations": _lists(value, length),
            },
        )


def _key(number: int) -> bytes:
    return hashlib.md5(int(number).to_bytes(8, "big"), usedforsecurity=False).digest()


def _place(sample: AnyArray) -> dict[str, AnyArray]:
    return {"partition": sample // 2**20, "sequence": sample // 64 % 2**14, "row": sample % 64}


def _samples(width: Width, random: np.random.Generator) -> Iterator[pa.Table]:
    chance = 1 / np.arange(2, width.vocabulary + 2)
    steps = np.cumsum(chance / chance.sum())
    for first in range(0, width.samples, _SAMPLES_PER_PIECE):
        sample = np.arange(first, min(first + _SAMPLES_PER_PIECE, width.samples))
        ids = np.searchsorted(steps, random.random(len(sample) * width.context))
        yield _table(
            "samples",
            {
                **_place(sample),
                "sample": pa.array([_key(number) for number in sample.tolist()], pa.binary(16)),
                "document": [f"document-{number // 8}" for number in sample],
                "domain": [("web", "code", "books")[number % 3] for number in sample],
                "ids": _lists(
                    ids.clip(max=width.vocabulary - 1), np.full(len(sample), width.context)
                ),
            },
        )


def _features(width: Width) -> Iterator[pa.Table]:
    fired, numbers = _firing(width), np.arange(width.features)
    columns = {
        "feature": numbers,
        "source": ["sae"] * width.features,
        "index": numbers,
        "firing_tokens": fired,
        "activation_density": fired / 10**9,
        "dead": fired == 0,
        "dropped": np.zeros(width.features, bool),
    }
    yield from _cut(_table("features", columns), _HITS_PER_PIECE // 8)


def _vocabulary(width: Width, random: np.random.Generator) -> Iterator[pa.Table]:
    """Yield made-up words, which differ; most begin with a blank, as they do in real ones."""
    drawn = np.array(SYLLABLES)[random.integers(0, len(SYLLABLES), (width.vocabulary, 3))]
    lengths = 1 + random.integers(0, 3, width.vocabulary)
    words = [
        f"{' ' if number % 4 else ''}{''.join(row[:length])}{number if length > 2 else ''}".encode()
        for number, (row, length) in enumerate(zip(drawn, lengths, strict=True))
    ]
    column = pa.array(words, pa.binary())
    named = dict.fromkeys(("token", "first", "last", "alone"), column)
    yield _table("vocabulary", {"id": np.arange(width.vocabulary), **named})


def _about(width: Width) -> dict[str, Any]:
    name = {"name": "features/sae", "iteration": 0, "clusters": width.features}
    return {
        "model": "drawn",
        "corpus": "drawn",
        "context": width.context,
        "rankings": {"maximum@1": {"k": width.k}},
        "k": width.k,
        "edges": default_edges().tolist(),
        "sum_bits": _SUM_BITS,
        "sources": [
            {
                "name": "sae",
                "kind": "dictionary",
                "hook": "blocks.6.hook_resid_pre",
                "components": width.features,
                "sign": "value",
                "location": "drawn",
            }
        ],
        "clusterings": [{**name, "coactivation": False}],
        "vocabulary": width.vocabulary,
    }
