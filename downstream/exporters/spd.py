"""DashboardData of SPD's cluster dashboards, as ZANJ stores it: ``dashboard.zanj`` and ``data/``.

The archive is for Python's ZANJ, the folder holds the same files for the page. Clusters are called
``{clustering}.{iteration}.{number}``, with ``-`` for older pages; texts by 8 hexadecimal digits of
a hash, or 16 where two texts would share 8.
"""

import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from downstream.exporters import choices as shared
from downstream.exporters.cluster_ranges import (
    SINGLES,
    ClusterRange,
    clustering_of,
    clusterings,
)
from downstream.exporters.clusters import ClusterBatch, ClusterRow, ClusterStream, float32
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.json_text import json_bytes
from downstream.exporters.naming import sign_notes
from downstream.exporters.neighbours import firing_tokens, pairs
from downstream.exporters.spd_clusters import (
    FORMAT,
    ClusterNames,
    array,
    binned,
    component,
    kept_by_cluster,
    statistics,
    tokens,
)
from downstream.exporters.staging import Staging
from downstream.exporters.text_hashes import TextHashes
from downstream.reading.kept import KeptActivations, has_kept, kept_activations
from downstream.reading.snapshot import Snapshot
from streams.arrays import F32
from streams.errors import ExportError

MOST_PAIRED = 8192
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ARCHIVE, _PAIRS = "dashboard.zanj", "coactivations.npy"
_TEXTS, _ROWS, _MOST_MEMBERS = 1024, 256, 512

_CLUSTERING = Option("clustering", "Clustering whose clusters are written.", shown="the only one")
_ITERATION = Option("iteration", "Iteration of the clustering.", default=0)
_SEPARATOR = Option("separator", "What stands between the parts of a name: . or -", default=".")
_EXAMPLES = Option("examples", "Examples per cluster, at most.", default=16)


class Spd:
    """Writes ``data/`` and the archive of it."""

    name = "spd"
    summary = "SPD's cluster dashboards (DashboardData, ZANJ)."
    options = (_CLUSTERING, _ITERATION, shared.RANKING, _EXAMPLES, _SEPARATOR)

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write clusters, texts and co-activation, and pack them."""
        separator = choices["separator"]
        if separator not in (".", "-"):
            raise ExportError(f"--separator {separator[:10]!r} is neither . nor -")
        chosen = _chosen(snapshot, choices)
        (totals,) = snapshot.table("totals").to_pylist()
        with shared.feature_stream(snapshot, choices, out.folder, chosen) as stream:
            hashes = TextHashes(stream.samples, stream.strings)
            names = ClusterNames.of(snapshot, chosen, separator)
            kept = kept_activations(snapshot.manifest) if has_kept(snapshot.manifest) else None
            writer = _Writer(snapshot, stream, names, hashes, choices["examples"], totals, kept)
            paired = _write_pairs(snapshot, chosen, out)
            pieces = writer.pieces(paired)
            out.write_pieces("data/__zanj__.json", pieces, lambda piece: piece())
        outside = {_PAIRS: {"item_type": "npy", "path": ["coactivations"]}} if paired else {}
        meta = {"externals_info": outside, "zanj_cfg": {}, "millrace_content": snapshot.content}
        out.write("data/__zanj_meta__.json", json_bytes(meta))
        _pack(out, paired)
        return [
            *_notes(paired, len(chosen), exact=kept is not None),
            *names.notes(),
            *_shared(hashes),
            *sign_notes(snapshot),
        ]


@dataclass(frozen=True)
class _Writer:
    """Makes the pieces of ``__zanj__.json``."""

    snapshot: Snapshot
    stream: ClusterStream
    names: ClusterNames
    hashes: TextHashes
    most: int
    totals: Mapping[str, int]
    kept: KeptActivations | None

    def pieces(self, paired: bool) -> Iterator[Any]:
        """Yield functions that make the text, piece after piece."""
        info = json_bytes(self.info())
        yield lambda: b'{"model_info":' + info + b',"clusters":{'
        for batch in self.stream.batches():
            yield lambda batch=batch: self.clusters(batch)
        yield lambda: b'},"text_samples":{'
        numbers = list(self.hashes.distinct())
        for first in range(0, len(numbers), _TEXTS):
            yield lambda first=first: self.texts(numbers[first : first + _TEXTS], first == 0)
        tail: dict[str, Any] = {"coactivations": None, "cluster_indices": None}
        if paired:
            n = len(self.stream.range)
            tail["coactivations"] = {
                FORMAT: "numpy.ndarray:external",
                "$ref": _PAIRS,
                "shape": [n, n],
                "dtype": "float64",
                "n_elements": n * n,
            }
            tail["cluster_indices"] = [self.names.number(index) for index in range(n)]
        yield lambda: b"}," + json_bytes(tail)[1:]

    def info(self) -> dict[str, Any]:
        """Return what the page says of the model."""
        about = self.snapshot.about
        sources = about.get("sources", ())
        return {
            "total_modules": len(sources),
            "total_components": sum(int(one.get("components", 0)) for one in sources),
            "total_clusters": len(self.stream.range),
            "iteration": self.names.iteration,
            "model_path": str(about.get("model", "")),
            "tokenizer_name": str(about.get("model", "")),
            "total_parameters": None,
            "trainable_parameters": None,
            "component_size": None,
            "module_list": sorted(str(one["name"]) for one in sources),
            "config": None,
            "wandb_clustering_run": None,
        }

    def clusters(self, batch: ClusterBatch) -> bytes:
        """Return the clusters of a batch as members of a JSON object."""
        lines = []
        pairs_of = _member_pairs(self.snapshot, batch)
        kept_of = kept_by_cluster(self.kept, batch)
        for row in batch.rows():
            name = self.names.name(row.index)
            lines.append(
                json_bytes(name) + b":" + json_bytes(self.cluster(name, row, pairs_of, kept_of))
            )
        return (b"" if batch.number == 0 else b",\n") + b",\n".join(lines)

    def cluster(
        self, name: str, row: ClusterRow, pairs_of: dict[int, Any], kept_of: dict[int, F32]
    ) -> dict[str, Any]:
        """Return a cluster's ClusterData."""
        criterion = self.names.separator.join(("max_activation", "max", str(self.most)))
        samples: dict[str, dict[str, Any]] = {}
        examples = row.examples
        for example in examples:
            samples[self.hashes.of(example.number)] = {
                "text_hash": self.hashes.of(example.number),
                "tokens": example.tokens,
                "activations": array(example.values(), "float32"),
                "criteria": [criterion],
            }
        scores = [float32(example.score) for example in examples]
        data = {
            "cluster_hash": name,
            "components": [component(member) for member in row.members],
            "samples": list(samples.values()),
            "stats": {
                criterion: binned(scores, None),
                **statistics(
                    row,
                    self.snapshot.about["edges"],
                    self.totals,
                    kept_of.get(row.numbers["cluster"]),
                ),
                "max_activation_position": binned(
                    [e.peak / max(1, len(e.ids) - 1) for e in examples], (0.0, 1.0)
                ),
                "token_activations": tokens(row),
            },
            "criterion_samples": {criterion: list(samples)},
        }
        found = pairs_of.get(row.numbers["cluster"])
        return data if found is None else {**data, "component_coactivations": found}

    def texts(self, numbers: Sequence[int], begins: bool) -> bytes:
        """Return texts as members of a JSON object."""
        lines = []
        for number in numbers:
            tokens = self.stream.strings.row(self.stream.samples.ids(number).tolist())
            text = {"full_text": "".join(tokens), "tokens": tokens}
            lines.append(json_bytes(self.hashes.of(number)) + b":" + json_bytes(text))
        return (b"" if begins else b",\n") + b",\n".join(lines)


def _chosen(snapshot: Snapshot, choices: Choices) -> ClusterRange:
    """Return the clustering; without a choice the only one that is not of single features."""
    known = clusterings(snapshot)
    names = {one.clustering for one in known if not one.clustering.startswith(SINGLES)}
    wanted = choices["clustering"] or (names.pop() if len(names) == 1 else None)
    if wanted is None:
        every = ", ".join(dict.fromkeys(one.clustering for one in known))
        raise ExportError(f"say which --clustering, one of {every or 'none'}")
    return clustering_of(snapshot, wanted, choices["iteration"])


def _member_pairs(snapshot: Snapshot, batch: ClusterBatch) -> dict[int, Any]:
    """Return the co-activation of the members of each cluster for which it is counted."""
    if snapshot.manifest.table("member_coactivation") is None:
        return {}
    own = batch.clusters["cluster"].to_pylist()
    span = [("cluster", ">=", own[0]), ("cluster", "<=", own[-1])]
    table = snapshot.table("member_coactivation", filters=span).arrow
    sizes = dict(zip(own, map(len, batch.clusters["members"].to_pylist()), strict=True))
    counted = batch.clusters["member_coactivation_counted"].to_pylist()
    cluster, a, b, tokens = (
        table[name].to_numpy() for name in ("cluster", "member_a", "member_b", "tokens")
    )
    found = {}
    for number, is_counted in zip(own, counted, strict=True):
        if not is_counted or sizes[number] > _MOST_MEMBERS:
            continue
        here = slice(*np.searchsorted(cluster, [number, number + 1]))
        dense = np.zeros((sizes[number], sizes[number]))
        dense[a[here], b[here]] = dense[b[here], a[here]] = tokens[here]
        found[number] = array(dense.tolist(), "float64")
    return found


def _write_pairs(snapshot: Snapshot, chosen: ClusterRange, out: Staging) -> bool:
    """Write the co-activation of all clusters as an array file; return whether there is one."""
    n = len(chosen)
    firing = firing_tokens(snapshot, chosen)
    if firing is None or n > MOST_PAIRED:
        return False
    if out.has(f"data/{_PAIRS}"):
        return True
    with out.open(f"data/{_PAIRS}") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (n, n)}
        )
        for first in range(0, n, _ROWS):
            stop = min(first + _ROWS, n)
            dense = np.zeros((stop - first, n))
            for a, b, tokens in pairs(snapshot, chosen):
                for own, other in ((a, b), (b, a)):
                    here = (own >= first) & (own < stop)
                    dense[own[here] - first, other[here]] = tokens[here]
            at = np.arange(first, stop)
            dense[at - first, at] = firing[at]
            file.write(dense.tobytes())
    return True


def _pack(out: Staging, paired: bool) -> None:
    """Write the archive of what lies in ``data/``."""
    names = ["__zanj_meta__.json", "__zanj__.json", *([_PAIRS] if paired else [])]
    if out.has(_ARCHIVE):
        return
    with out.open(_ARCHIVE) as file, zipfile.ZipFile(file, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with (
                out.read(f"data/{name}") as source,
                archive.open(entry, "w", force_zip64=True) as to,
            ):
                shutil.copyfileobj(source, to, 2**20)


def _notes(paired: bool, clusters: int, *, exact: bool) -> list[str]:
    found = [
        "made from the examples alone: the bins of the criterion, max_activation_position, "
        "token_activations; everything else in stats is of all valid tokens",
        "empty, since a snapshot does not have them: parameters of the model, configuration",
    ]
    if not exact:
        found.append(
            "as near as the run's histogram tells: all_activations and median_activation; a run "
            'with keep = "activations" has them exactly'
        )
    if not paired:
        why = "the run did not count it"
        if clusters > MOST_PAIRED:
            why = f"there are more than {MOST_PAIRED:,} clusters"
        found.append(f"no co-activation of clusters: {why}")
    return found


def _shared(hashes: TextHashes) -> list[str]:
    n = hashes.lengthened
    return [f"{n:,} hashes of 8 digits would have named several texts: 16 there"] if n else []
