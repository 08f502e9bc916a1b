"""SAEDashboard's batch JSON: ``batch-N.json`` of some features each, as its runner writes them."""

from collections.abc import Sequence
from typing import Any

from downstream.exporters import choices as shared
from downstream.exporters import naming
from downstream.exporters.clusters import ClusterRow
from downstream.exporters.dashboard_features import (
    DashboardFeatures,
    Rounding,
    dataset_of,
    notes,
)
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.json_text import json_bytes
from downstream.exporters.logit_lens import CONVENTION, find_lens
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError

_DECIMALS = Option("decimals", "Decimals that values are rounded to.", default=3)
_MOST_DECIMALS = 12


class SAEDashboard:
    """Writes ``batch-N.json``, ``run_settings.json`` and ``skipped_indexes.json``."""

    name = "saedashboard"
    summary = "SAEDashboard's batch JSON."
    options = (
        shared.SOURCE,
        shared.FEATURES,
        shared.RANKING,
        shared.EXAMPLES,
        shared.INTERVALS,
        shared.BATCH,
        *naming.NAMES,
        CONVENTION,
        _DECIMALS,
    )

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write a file per batch of features."""
        if not 0 <= choices["decimals"] <= _MOST_DECIMALS:
            raise ExportError(f"--decimals {choices['decimals']} is not 0 to {_MOST_DECIMALS}")
        with shared.feature_stream(snapshot, choices, out.folder) as stream:
            names = naming.dictionary_names(snapshot, stream.source, choices)
            head = {
                "model_id": names.model,
                "layer": names.layer,
                "sae_set": names.set,
                "sae_id_suffix": names.suffix,
            }
            lens = find_lens(snapshot, stream.source, stream.strings, choices["convention"])
            fields = DashboardFeatures(snapshot, lens, Rounding(choices["decimals"]))
            dataset = dataset_of(snapshot)
            for batch in stream.batches():
                file = f"batch-{batch.number}.json"
                if not out.has(file):
                    features = [_feature(row, fields, dataset) for row in batch.rows()]
                    out.write(file, json_bytes({**head, "features": features}))
        skipped = {"model_id": names.model, "layer": str(names.layer), "sae_set": names.set}
        out.write("skipped_indexes.json", json_bytes({**skipped, "skipped_indexes": []}))
        out.write("run_settings.json", json_bytes({**head, **dataset, "hook_point": names.hook}))
        return notes(fields, stream.source)


def _feature(row: ClusterRow, fields: DashboardFeatures, dataset: dict[str, Any]) -> dict[str, Any]:
    return {
        "feature_index": row.index,
        **fields.fields(row),
        **dataset,
        "decoder_weights_dist": [],
        "activations": [
            {
                "bin_min": low,
                "bin_max": high,
                "bin_contains": share,
                "tokens": example.tokens,
                "values": example.values(fields.rounding.each),
                "qualifying_token_index": example.peak,
            }
            for example, low, high, share in fields.groups(row)
        ],
        "vector": [],
    }
