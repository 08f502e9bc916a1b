"""Columnar batch tables: Parquet per batch of features, with a manifest, for Neuronpedia.

``feature_batch_N/`` holds a table per kind and a manifest that names them, written last;
``manifest.json`` beside the batches lists them all. Files have a page index and row groups of 4,096
rows, so that one feature can be read through a network without the rest.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from downstream.exporters import choices as shared
from downstream.exporters import naming
from downstream.exporters.clusters import ClusterRow
from downstream.exporters.dashboard_features import DashboardFeatures, Rounding, notes
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.histograms import bars
from downstream.exporters.json_text import json_bytes
from downstream.exporters.logit_lens import CONVENTION, LensRow, find_lens
from downstream.exporters.neuronpedia import CREATOR, created_at
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot

ROWS_PER_GROUP = 4096

_COPY = Option(
    "copy-rows", "Also write the rows in the form that Postgres copies, half of all bytes.", True
)
_I, _F, _S = pa.int64(), pa.float64(), pa.string()
_Is, _Fs, _Ss = pa.list_(_I), pa.list_(_F), pa.list_(_S)

_BARS = pa.schema(
    [
        ("feature_index", _I),
        ("bar_heights", _Fs),
        ("bar_values", _Fs),
        ("tick_vals", _Fs),
        ("title", _S),
    ]
)
SCHEMAS: Mapping[str, pa.Schema] = {
    "feature_statistics": pa.schema(
        [("feature_index", _I), ("max", _F), ("frac_nonzero", _F), ("positive_density", _F)]
    ),
    "feature_tables": pa.schema(
        [
            ("feature_index", _I),
            ("neuron_alignment_indices", _Is),
            ("neuron_alignment_values", _Fs),
            ("neuron_alignment_l1", _Fs),
            ("correlated_neurons_indices", _Is),
            ("correlated_neurons_pearson", _Fs),
            ("correlated_neurons_cossim", _Fs),
            ("correlated_features_indices", _Is),
            ("correlated_features_pearson", _Fs),
            ("correlated_features_cossim", _Fs),
        ]
    ),
    "logits_histograms": _BARS,
    "activation_histograms": _BARS,
    "logits_tables": pa.schema(
        [
            ("feature_index", _I),
            ("bottom_token_ids", _Is),
            ("bottom_logits", _Fs),
            ("top_token_ids", _Is),
            ("top_logits", _Fs),
        ]
    ),
    "activation_rows": pa.schema(
        [
            ("feature_index", _I),
            ("sequence_index", _I),
            ("tokens", _Ss),
            ("max_value", _F),
            ("max_value_token_index", _I),
            ("min_value", _F),
            ("values", _Fs),
            ("bin_min", _F),
            ("bin_max", _F),
            ("bin_contains", _F),
            ("qualifying_token_index", _I),
        ]
    ),
}
COPY_ROWS = pa.schema(
    [
        ("id", _S),
        ("tokens", _Ss),
        ("dataIndex", pa.null()),
        ("index", _I),
        ("layer", _S),
        ("modelId", _S),
        ("dataSource", pa.null()),
        ("maxValue", _F),
        ("maxValueTokenIndex", _I),
        ("minValue", _F),
        ("values", _Fs),
        ("dfaValues", _Fs),
        ("dfaTargetIndex", pa.null()),
        ("dfaMaxValue", pa.null()),
        ("creatorId", _S),
        ("createdAt", _S),
        ("lossValues", _Fs),
        ("logitContributions", pa.null()),
        ("binMin", _F),
        ("binMax", _F),
        ("binContains", _F),
        ("qualifyingTokenIndex", _I),
    ]
)


class Columnar:
    """Writes the tables, a manifest per batch, and the manifest of all."""

    name = "columnar"
    summary = "Columnar batch tables (Parquet) with manifests and page index."
    options = (
        shared.SOURCE,
        shared.FEATURES,
        shared.RANKING,
        shared.EXAMPLES,
        shared.INTERVALS,
        Option("batch", "Features per batch.", default=512),
        *naming.NAMES,
        CONVENTION,
        CREATOR,
        _COPY,
    )

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write a folder per batch of features."""
        with shared.feature_stream(snapshot, choices, out.folder) as stream:
            names = naming.dictionary_names(snapshot, stream.source, choices)
            lens = find_lens(snapshot, stream.source, stream.strings, choices["convention"])
            fields = DashboardFeatures(snapshot, lens, Rounding())
            prefix = f"{names.model}-{names.source}-{snapshot.identity[:12]}"
            copied = {
                "layer": names.source,
                "modelId": names.model,
                "creatorId": choices["creator-id"],
                "createdAt": created_at(snapshot),
            }
            batches = []
            for batch in stream.batches():
                folder = f"feature_batch_{batch.number}"
                batches.append(
                    {
                        "artifact_dir": folder,
                        "feature_batch_index": batch.number,
                        "feature_indices": list(batch.indices),
                    }
                )
                if out.has(f"{folder}/manifest.json"):
                    continue
                tables = _tables(list(batch.rows()), fields)
                if choices["copy-rows"]:
                    own = tables["activation_rows"]
                    tables["activation_copy_rows"] = copy_rows(own, prefix, copied)
                for name, table in tables.items():
                    out.write(f"{folder}/{name}.parquet", _parquet(table))
                out.write(f"{folder}/manifest.json", json_bytes(_manifest(batch.number, tables)))
        out.write("manifest.json", json_bytes({**_FORMAT, "batches": batches}))
        return notes(fields, stream.source)


_FORMAT = {"dashboard_output_format": "columnar", "columnar_artifact_format": "parquet"}


def _manifest(number: int, tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    return {
        **_FORMAT,
        "feature_batch_index": number,
        "row_counts": {name: len(table) for name, table in tables.items()},
        "tables": {name: f"{name}.parquet" for name in tables},
    }


def _tables(rows: Sequence[ClusterRow], fields: DashboardFeatures) -> dict[str, pa.Table]:
    """Return every table of a batch; each has a row per feature, whatever is known of it."""
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    for row in rows:
        lens = fields.lens.of(row.index) if fields.lens else None
        lines["feature_statistics"].append(_statistics(row, fields))
        lines["feature_tables"].append({"feature_index": row.index})
        lines["logits_histograms"].append(_logit_bars(row, lens))
        lines["activation_histograms"].append(_activation_bars(row, fields))
        lines["logits_tables"].append(_logits(row, lens))
        lines["activation_rows"] += _activations(row, fields)
    return {name: _filled(found, SCHEMAS[name]) for name, found in lines.items()}


def _filled(lines: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return lines as a table; a list that a line lacks is empty."""
    blank: dict[str, Any] = {field.name: [] for field in schema if pa.types.is_list(field.type)}
    return pa.Table.from_pylist([{**blank, **line} for line in lines], schema=schema)


def _statistics(row: ClusterRow, fields: DashboardFeatures) -> dict[str, Any]:
    density = row.numbers["activation_density"]
    return {
        "feature_index": row.index,
        "max": fields.rounding(row.numbers["max_activation"]),
        "frac_nonzero": density,
        "positive_density": density,
    }


def _activation_bars(row: ClusterRow, fields: DashboardFeatures) -> dict[str, Any]:
    found = bars(row.numbers, fields.snapshot.about["edges"])
    return {
        "feature_index": row.index,
        "bar_heights": found.counts,
        "bar_values": found.middles,
        "title": f"ACTIVATIONS<br>DENSITY = {row.numbers['activation_density']:.3%}",
    }


def _logit_bars(row: ClusterRow, lens: LensRow | None) -> dict[str, Any]:
    found = {"bar_heights": lens.bar_counts, "bar_values": lens.bar_middles} if lens else {}
    return {"feature_index": row.index, **found}


def _logits(row: ClusterRow, lens: LensRow | None) -> dict[str, Any]:
    if lens is None:
        return {"feature_index": row.index}
    return {
        "feature_index": row.index,
        "bottom_token_ids": lens.bottom_ids,
        "bottom_logits": lens.bottom_values,
        "top_token_ids": lens.top_ids,
        "top_logits": lens.top_values,
    }


def _activations(row: ClusterRow, fields: DashboardFeatures) -> Iterator[dict[str, Any]]:
    for number, (example, low, high, share) in enumerate(fields.groups(row)):
        values = example.values(fields.rounding.each)
        yield {
            "feature_index": row.index,
            "sequence_index": number,
            "tokens": example.tokens,
            "max_value": max(values),
            "max_value_token_index": values.index(max(values)),
            "min_value": min(values),
            "values": values,
            "bin_min": low,
            "bin_max": high,
            "bin_contains": share,
            "qualifying_token_index": example.peak,
        }


def copy_rows(rows: pa.Table, prefix: str, same: Mapping[str, str]) -> pa.Table:
    """Return activation rows in the form that Postgres copies; ``same`` in every row."""
    n = len(rows)
    pairs = zip(rows["feature_index"].to_pylist(), rows["sequence_index"].to_pylist(), strict=True)
    columns = {
        "id": pa.array([f"{prefix}-{feature}-{sequence}" for feature, sequence in pairs], _S),
        "tokens": rows["tokens"],
        "index": rows["feature_index"],
        "maxValue": rows["max_value"],
        "maxValueTokenIndex": rows["max_value_token_index"],
        "minValue": rows["min_value"],
        "values": rows["values"],
        "dfaValues": pa.array([[]] * n, _Fs),
        "lossValues": pa.array([[]] * n, _Fs),
        "binMin": rows["bin_min"],
        "binMax": rows["bin_max"],
        "binContains": rows["bin_contains"],
        "qualifyingTokenIndex": rows["qualifying_token_index"],
        **{name: pa.array([text] * n, _S) for name, text in same.items()},
    }
    arrays = [columns.get(f.name, pa.nulls(n, f.type)) for f in COPY_ROWS]
    return pa.table(arrays, schema=COPY_ROWS)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=ROWS_PER_GROUP, write_page_index=True)
    return sink.getvalue()
