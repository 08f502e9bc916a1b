"""A snapshot worked out by hand-made rules, for tests and to look at the pages.

``python -m tests.downstream.dashboard.snapshot_files FOLDER`` writes a large one and shows it.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from streams.records.measures import default_edges
from streams.snapshots.content import content_of, table_hash
from streams.snapshots.manifests import VERSION, RunManifest
from streams.snapshots.store import open_store, write_manifest, write_part
from streams.snapshots.table_entry import PartFile, table_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import TABLES

SUM_BITS = 20
_WORDS = re.compile(rb" ?[A-Za-z]{1,6}|[A-Za-z]+| ?[0-9]|\n+| {2,}|[\x80-\xff]{2}| ?.|.", re.DOTALL)

Dense = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Document:
    """A text with its id and domain."""

    id: str
    text: str
    domain: str = "prose"


@dataclass
class Given:
    """What a snapshot is made of: rows of token ids and each component's values [row, position].

    hooks: of each source its hook point, if there is more than one, which share the components out.
    """

    rows: list[tuple[Document, list[int]]]
    vocabulary: list[bytes]
    values: Dense
    clusters: list[tuple[str, str, list[int]]]
    dropped: set[int] = field(default_factory=set)
    hooks: dict[str, str] = field(default_factory=lambda: {"sae": "blocks.2.hook_resid_post"})

    def component(self, number: int) -> tuple[str, int]:
        """Return the source of a component and its index there."""
        each = len(self.values) // len(self.hooks)
        return list(self.hooks)[number // each], number % each


def tokenized(documents: Iterable[Document], context: int) -> tuple[list[Any], list[bytes]]:
    """Return rows of ids and the vocabulary: words, blanks and pairs of bytes."""
    ids: dict[bytes, int] = {b"<|endoftext|>": 0}
    rows = []
    for document in documents:
        tokens = _WORDS.findall(document.text.encode())
        numbers = [ids.setdefault(token, len(ids)) for token in tokens]
        rows += [(document, numbers[at : at + context]) for at in range(0, len(numbers), context)]
    return rows, list(ids)


def write_snapshot(
    folder: str,
    given: Given,
    *,
    run: str = "demo",
    snapshot: str = "final",
    created: str = "2031-05-06T07:08:09+00:00",
    final: bool = True,
    k: int = 20,
    shards: int = 2,
) -> RunManifest:
    """Write all tables of a snapshot and its manifest."""
    edges = default_edges()
    tables = {name: _table(name, rows) for name, rows in _rows(given, edges, k).items()}
    hashed = {name: table_hash(TABLES[name].schema, [table]) for name, table in tables.items()}
    store = open_store(folder)
    files: list[PartFile] = []
    for name, table in tables.items():
        cut = [round(i * len(table) / shards) for i in range(shards + 1)]
        if name in ("totals", "vocabulary"):
            cut = [0, *[len(table)] * shards]
        for shard in range(shards):
            part = table.slice(cut[shard], cut[shard + 1] - cut[shard])
            files.append(write_part(store, run, name, shard, part))
    manifest = RunManifest(
        version=VERSION,
        run=run,
        run_id="ab" * 16,
        identity="ba" * 16,
        snapshot=snapshot,
        final=final,
        content=content_of({name: each.hash for name, each in hashed.items()}),
        created=created,
        store=folder,
        chains=((3, 2),) * shards,
        tables=tuple(table_entry(TABLES[n], each, content=True) for n, each in hashed.items()),
        files=tuple(files),
        about=_about(given, edges, k),
    )
    write_manifest(store, manifest)
    return manifest


def without_columns(manifest: RunManifest, name: str, columns: Sequence[str]) -> RunManifest:
    """Return the manifest of the same snapshot, but for a table written without some columns."""
    table = read_table(manifest, name).drop_columns(list(columns))
    file = write_part(open_store(manifest.store), manifest.run, name, 9, table, schema=table.schema)
    entries = (
        replace(entry, columns=tuple(c for c in entry.columns if c.name not in columns))
        if entry.name == name
        else entry
        for entry in manifest.tables
    )
    files = (*(part for part in manifest.files if part.table != name), file)
    return replace(manifest, tables=tuple(entries), files=files)


def _table(name: str, rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TABLES[name].schema)


def _rows(given: Given, edges: Any, k: int) -> dict[str, Iterable[dict[str, Any]]]:
    activity = np.stack([_activity(given, members) for _, _, members in given.clusters])
    fires = (activity > 0).reshape(len(activity), -1)
    return {
        "clusters": _clusters(given, activity, edges),
        "hits": _hits(given, activity, k),
        "samples": _samples(given),
        "coactivation": _pairs(given, fires),
        "member_coactivation": _member_pairs(given),
        "features": _features(given),
        "totals": [_totals(given)],
        "vocabulary": (
            {"id": i, **dict.fromkeys(("token", "first", "last", "alone"), token)}
            for i, token in enumerate(given.vocabulary)
        ),
    }


def _live(given: Given, members: Sequence[int]) -> list[int]:
    return [member for member in members if member not in given.dropped]


def _name(given: Given, member: int) -> str:
    source, index = given.component(member)
    return f"{source}:{index}"


def _activity(given: Given, members: Sequence[int]) -> Dense:
    live = _live(given, members)
    empty: Dense = np.zeros_like(given.values[0])
    return np.abs(given.values[live]).max(axis=0) if live else empty


def _clusters(given: Given, activity: Dense, edges: Any) -> Iterator[dict[str, Any]]:
    for number, (clustering, label, members) in enumerate(given.clusters):
        firing = activity[number][activity[number] > 0]
        bins = np.searchsorted(edges, firing, side="right")
        live = _live(given, members)
        total = int(np.rint(firing.astype(float) * 2**SUM_BITS).sum())
        yield {
            "cluster": number,
            "clustering": clustering,
            "iteration": 0,
            "label": label,
            "members": [_name(given, member) for member in live],
            "dropped_members": [_name(given, m) for m in members if m in given.dropped],
            "firing_tokens": len(firing),
            "firing_rows": int((activity[number] > 0).any(axis=1).sum()),
            "activation_density": len(firing) / _totals(given)["tokens"],
            "activation_sum": total,
            "mean_activation": total / 2**SUM_BITS / max(len(firing), 1),
            "min_activation": float(firing.min(initial=np.inf)) if len(firing) else 0.0,
            "max_activation": float(firing.max(initial=0.0)),
            "activation_histogram": np.bincount(bins, minlength=len(edges) + 1).tolist(),
            "coactivation_counted": True,
            "member_coactivation_counted": len(live) > 1,
        }


def _hits(given: Given, activity: Dense, k: int) -> Iterator[dict[str, Any]]:
    for number, (_, _, members) in enumerate(given.clusters):
        scores = activity[number].max(axis=1)
        for rank, row in enumerate(np.argsort(-scores, kind="stable")[:k]):
            if scores[row] <= 0:
                break
            positions = np.flatnonzero(activity[number, row])
            values = given.values[_live(given, members), row]
            member, position = np.nonzero(values)
            yield {
                "cluster": number,
                "ranking": "maximum",
                "rank": rank,
                "score": scores[row],
                "peak": int(activity[number, row].argmax()),
                **_place(given, row),
                "positions": positions,
                "activations": activity[number, row, positions],
                "member_indices": member,
                "member_positions": position,
                "member_activations": values[member, position],
            }


def _place(given: Given, row: int) -> dict[str, Any]:
    sample = hashlib.sha256(repr(given.rows[row][1]).encode()).digest()[:16]
    return {"partition": row % 2, "sequence": row // 8, "row": row % 8, "sample": sample}


def _samples(given: Given) -> Iterator[dict[str, Any]]:
    for row in sorted(range(len(given.rows)), key=lambda row: (row % 2, row)):  # by place
        document, ids = given.rows[row]
        named = {"document": document.id, "domain": document.domain, "ids": ids}
        yield {**_place(given, row), **named}


def _pairs(given: Given, fires: Any) -> Iterator[dict[str, Any]]:
    both = fires.astype(np.float32) @ fires.T.astype(np.float32)
    for a, b in zip(*np.nonzero(np.triu(both, 1)), strict=True):
        if given.clusters[a][0] == given.clusters[b][0]:
            yield {"cluster_a": a, "cluster_b": b, "tokens": int(both[a, b])}


def _member_pairs(given: Given) -> Iterator[dict[str, Any]]:
    for number, (_, _, members) in enumerate(given.clusters):
        live = _live(given, members)
        fires = given.values[live].reshape(len(live), given.values[0].size) != 0
        both = fires.astype(np.float32) @ fires.T.astype(np.float32)
        if len(live) > 1:
            for a, b in zip(*np.nonzero(np.triu(both)), strict=True):
                yield {
                    "cluster": number,
                    "member_a": a,
                    "member_b": b,
                    "tokens": int(both[a, b]),
                }


def _features(given: Given) -> Iterator[dict[str, Any]]:
    for number, values in enumerate(given.values):
        fired, dropped = int(np.count_nonzero(values)), number in given.dropped
        source, index = given.component(number)
        yield {
            "feature": number,
            "source": source,
            "index": index,
            "firing_tokens": 0 if dropped else fired,
            "activation_density": (0 if dropped else fired) / _totals(given)["tokens"],
            "dead": not fired and not dropped,
            "dropped": dropped,
        }


def _totals(given: Given) -> dict[str, int]:
    tokens = sum(len(ids) for _, ids in given.rows)
    return {"tokens": tokens, "rows": len(given.rows), "batches": 8, "refused": 0}


def _about(given: Given, edges: Any, k: int) -> dict[str, Any]:
    names = list(dict.fromkeys(name for name, _, _ in given.clusters))
    sizes = [sum(name == each for each, _, _ in given.clusters) for name in names]
    sources = [
        {
            "name": name,
            "kind": "dictionary",
            "hook": hook,
            "components": len(given.values) // len(given.hooks),
            "sign": "value",
            "location": f"models/{name}",
        }
        for name, hook in given.hooks.items()
    ]
    return {
        "model": "models/prose-2l",
        "corpus": "library",
        "context": given.values.shape[2],
        "rankings": {"maximum@1": {"k": k}},
        "k": k,
        "edges": [float(edge) for edge in edges],
        "sum_bits": SUM_BITS,
        "sources": sources,
        "clusterings": [
            {"name": name, "iteration": 0, "clusters": size, "coactivation": True}
            for name, size in zip(names, sizes, strict=True)
        ],
        "vocabulary": len(given.vocabulary),
    }


def small() -> Given:
    """Return four components over three short texts, with a split character and hostile words."""
    documents = [
        Document("plain.txt", "the cat sat on the mat\n  and purred"),
        Document("<script>alert(1)</script>", "a <script>alert(2)</script> & \u202e naïve ✓ end"),
        Document("café.txt", "the café\tthe 鳥 the", "<b>bold</b>"),
    ]
    rows, vocabulary = tokenized(documents, context=24)
    values = np.zeros((5, len(rows), 24), np.float32)
    the = vocabulary.index(b"the")
    for row, (_, ids) in enumerate(rows):
        for position, token in enumerate(ids):
            values[0, row, position] = 2.0 + position / 8 if token == the else 0.0
            values[1, row, position] = -1.5 if position == 3 else 0.0
            values[2, row, position] = 0.25 * (position + 1) if row == 1 else 0.0
    values[4, 0, 1] = 3.0
    clusters = [("features/sae", str(n), [n]) for n in range(5)]
    clusters += [
        ("odd", "both", [0, 1]),
        ("odd", "<script>alert(3)</script>", [1, 2]),
        ("odd", "a/b%2F?c#d é", [2, 0, 3]),
        ("odd", "..", [0]),
        ("odd", "", [1]),
        ("odd", "nobody", [4]),
    ]
    return Given(rows, vocabulary, values, clusters, dropped={4})


def large(features: int = 300, rows_wanted: int = 400, context: int = 96) -> Given:
    """Return components that answer to words and blanks of the language reference."""
    import pydoc_data.topics

    chance = np.random.default_rng(7)
    texts = [
        Document(f"reference/{name}.rst", text, "reference")
        for name, text in pydoc_data.topics.topics.items()
    ]
    foreign = "The “naïve” café’s 鳥は花で — it’s 5 °C.\n" * 6
    texts.insert(1, Document("notes/naïve café – 鳥と花.txt", foreign, "notes"))
    rows, vocabulary = tokenized(texts, context)
    rows = rows[:rows_wanted]
    ids = np.full((len(rows), context), -1)
    for row, (_, numbers) in enumerate(rows):
        ids[row, : len(numbers)] = numbers
    counts = np.bincount(ids[ids >= 0], minlength=len(vocabulary)) ** 0.4
    weights = counts / counts.sum()
    values = np.zeros((features, len(rows), context), np.float32)
    for feature in range(features - features // 15):
        words = chance.choice(len(vocabulary), chance.integers(1, 6), False, weights)
        strength = chance.lognormal(0.5, 0.7)
        here = np.isin(ids, words)
        noise = chance.lognormal(0, 0.45, ids.shape)
        after = np.zeros(here.shape)
        after[:, 1:] = here[:, :-1] * 0.35
        after[:, 2:] += here[:, :-2] * 0.12
        values[feature] = strength * np.where(ids >= 0, (here + after) * noise, 0)
    order = chance.permutation(features)
    values = values[order]
    clusters = [("features/sae", str(n), [n]) for n in range(features)]
    for number in range(24):
        members = sorted(chance.choice(features, chance.integers(2, 14), False).tolist())
        clusters.append(("decoder-directions", f"group {number}", members))
    clusters.append(("decoder-directions", "nothing left", [1]))
    return Given(rows, vocabulary, values, clusters, dropped={1})


if __name__ == "__main__":
    from downstream.dashboard.app import serve

    written = write_snapshot(sys.argv[1], large())
    serve(port=int(sys.argv[2]), snapshot=f"{written.store}/{written.run}/{written.snapshot}")
