"""Feature files of circuit-tracer and other attribution-graph pages, as JSON or in binary files.

JSON: ``features/{scan}/{id}.json``, one file per feature, whose id pairs layer and index into one
number. Binary: ``features/index.json.gz`` names a file per layer and where each feature begins in
it; a record is its length, 4 bytes, little end first, and JSON compressed by zlib.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from downstream.exporters import bands, naming
from downstream.exporters import choices as shared
from downstream.exporters.cluster_ranges import SINGLES, ClusterRange, clusterings
from downstream.exporters.clusters import ClusterBatch, ClusterRow, float32
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.histograms import bars, quantiles
from downstream.exporters.json_text import gzipped, json_bytes
from downstream.exporters.logit_lens import CONVENTION, Lens, find_lens
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError

_SCAN = Option("scan", "Name of the set of features, and of the folder.", shown="the run's name")
_SOURCES = Option(
    "source", "Dictionary to write; may be repeated, one per layer.", shown="all", many=True
)
_LENGTH = 4
_SHARES = [(n + 1) / 100 for n in range(100)]
_OPTIONS = (
    _SOURCES,
    naming.LAYER,
    _SCAN,
    shared.FEATURES,
    shared.RANKING,
    shared.EXAMPLES,
    shared.INTERVALS,
    CONVENTION,
)


def feature_id(layer: int, index: int) -> int:
    """Return the number that stands for a layer and an index (Cantor's pairing function)."""
    return (layer + index) * (layer + index + 1) // 2 + index


class CircuitTracerJson:
    """Writes a JSON file per feature."""

    name = "circuit-tracer"
    summary = "circuit-tracer's feature files, one JSON file per feature."
    options = (*_OPTIONS, shared.BATCH)

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the files of every chosen source."""
        scan, lenses = _scan(snapshot, choices), dict[str, Lens | None]()
        for layer, chosen in _layers(snapshot, choices):
            with shared.feature_stream(snapshot, choices, out.folder, chosen) as stream:
                lens = find_lens(snapshot, stream.source, stream.strings, choices["convention"])
                lenses[stream.source] = lens
                features = _Features(snapshot, scan, lens)
                for batch in stream.batches():
                    files = [f"features/{scan}/{feature_id(layer, n)}.json" for n in batch.indices]
                    if all(map(out.has, files)):
                        continue
                    for file, row in zip(files, batch.rows(), strict=True):
                        out.write(file, json_bytes(features.of(row)))
        return _notes(snapshot, lenses)


class CircuitTracerBinary:
    """Writes a file per layer and the index of all."""

    name = "circuit-tracer-binary"
    summary = "circuit-tracer's feature files, one binary file per layer with an index."
    options = tuple(o for o in _OPTIONS if o is not shared.FEATURES)

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the files of every chosen source, and the index last."""
        scan, lenses = _scan(snapshot, choices), dict[str, Lens | None]()
        layers = dict(_layers(snapshot, choices))
        index: list[dict[str, Any] | None] = [None] * (max(layers) + 1)
        for layer, chosen in layers.items():
            name = f"layer_{layer}.bin"
            with shared.feature_stream(snapshot, choices, out.folder, chosen) as stream:
                lens = find_lens(snapshot, stream.source, stream.strings, choices["convention"])
                lenses[stream.source] = lens
                features = _Features(snapshot, scan, lens)
                out.write_pieces(f"features/{name}", stream.batches(), features.records)
            index[layer] = {"filename": name, "offsets": _offsets(out, f"features/{name}")}
        out.write("features/index.json.gz", gzipped(json_bytes(index)))
        return _notes(snapshot, lenses)


@dataclass(frozen=True)
class _Features:
    """Makes the record of a feature."""

    snapshot: Snapshot
    scan: str
    lens: Lens | None

    def of(self, row: ClusterRow) -> dict[str, Any]:
        """Return a feature as the page knows it."""
        numbers, edges = row.numbers, self.snapshot.about["edges"]
        lens = self.lens.of(row.index) if self.lens else None
        return {
            "transcoder_id": self.scan,
            "index": row.index,
            "examples_quantiles": _quantiles(row),
            "top_logits": list(lens.top_tokens) if lens else [],
            "bottom_logits": list(lens.bottom_tokens) if lens else [],
            "act_min": float32(numbers["min_activation"]),
            "act_max": float32(numbers["max_activation"]),
            "quantile_values": [float32(v) for v in quantiles(numbers, edges, _SHARES)],
            "histogram": [float(count) for count in bars(numbers, edges).counts],
            "activation_frequency": numbers["activation_density"],
        }

    def records(self, batch: ClusterBatch) -> bytes:
        """Return the binary records of a batch, one after the other."""
        packed = (zlib.compress(json_bytes(self.of(row))) for row in batch.rows())
        return b"".join(len(data).to_bytes(_LENGTH, "little") + data for data in packed)


def _notes(snapshot: Snapshot, lenses: Mapping[str, Lens | None]) -> list[str]:
    """Return what the files do not hold; lenses: of each source written."""
    found = ["histogram and quantile_values are made from the run's bins: borders are not exact"]
    missing = [source for source, lens in lenses.items() if lens is None]
    if missing:
        found.append(
            "empty, since no logit lens is attached: top_logits, bottom_logits of "
            + ", ".join(missing)
        )
    return found + naming.sign_notes(snapshot, *lenses)


def _quantiles(row: ClusterRow) -> list[dict[str, Any]]:
    cuts = bands.borders(float32(row.numbers["max_activation"]))
    groups = [("Top activations", row.examples)] if row.examples else []
    for band, examples in row.bands.items():
        name = f"Subsample interval {cuts[band]:.3g} to {cuts[band + 1]:.3g}"
        groups.append((name, examples))
    seen: set[int] = set()
    found = []
    for name, examples in groups:
        listed = []
        for example in examples:
            listed.append(
                {
                    "tokens_acts_list": example.values(),
                    "train_token_ind": example.peak,
                    "is_repeated_datapoint": example.number in seen,
                    "tokens": example.tokens,
                }
            )
            seen.add(example.number)
        found.append({"quantile_name": name, "examples": listed})
    return found


def _scan(snapshot: Snapshot, choices: Choices) -> str:
    return choices["scan"] or snapshot.run


def _layers(snapshot: Snapshot, choices: Choices) -> list[tuple[int, ClusterRange]]:
    """Return the layer and the features of every chosen source, by layer.

    Raises ExportError for a source without a layer, or two of one layer.
    """
    known = [one for one in clusterings(snapshot) if one.clustering.startswith(SINGLES)]
    ranges = {one.clustering.removeprefix(SINGLES): one for one in known}
    wanted = choices["source"] or tuple(ranges)
    found: dict[int, tuple[str, ClusterRange]] = {}
    for source in wanted:
        if source not in ranges:
            raise ExportError(
                f"the features of a source {source!r} were not watched (there are: "
                f"{', '.join(ranges) or 'none'})"
            )
        layer = naming.chosen_layer(snapshot, source, choices)
        if layer in found:
            raise ExportError(
                f"{found[layer][0]} and {source} are both of layer {layer}: choose with --source"
            )
        found[layer] = (source, ranges[source])
    if not found:
        raise ExportError("the run watched no source's features")
    return [(layer, found[layer][1]) for layer in sorted(found)]


def _offsets(out: Staging, name: str) -> list[int]:
    """Return where each record of a file begins, and where the last one ends."""
    found, at = [0], 0
    with out.read(name) as file:
        while head := file.read(_LENGTH):
            at += _LENGTH + int.from_bytes(head, "little")
            file.seek(at)
            found.append(at)
    return found
