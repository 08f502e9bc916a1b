"""Neuronpedia's bulk layout: JSON lines that its importer loads into its database.

``{model}/{source}/`` holds ``release.jsonl``, ``model.jsonl``, ``sourceset.jsonl``,
``source.jsonl`` and, compressed by gzip, ``features/batch-N.jsonl.gz`` and, of the batches that
have an example, ``activations/batch-N.jsonl.gz``. Every line of a file has the same keys, which the
importer takes from the first one.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
from downstream.exporters.feature_rows import FeatureRows
from downstream.exporters.json_text import gzipped, json_lines
from downstream.exporters.logit_lens import CONVENTION, find_lens
from downstream.exporters.naming import DictionaryNames
from downstream.exporters.neighbours import find_neighbours
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot

CREATOR = Option(
    "creator-id", "Id of the user that rows belong to.", default="clkht01d40000jv08hvalcvly"
)
_CREATOR_NAME = Option("creator-name", "Who made the dictionary.", default="")
_RELEASE = Option("release", "Name of the release.", shown="the set's name")
_TITLE = Option("release-title", "Description of the release.", shown="the release's name")
_URL = Option("url", "Address that the release links to.")
_ID_LENGTH = 25


class Neuronpedia:
    """Writes the layout that Neuronpedia publishes and imports."""

    name = "neuronpedia"
    summary = "Neuronpedia's bulk layout (JSON lines, gzip)."
    options = (
        shared.SOURCE,
        shared.FEATURES,
        shared.RANKING,
        shared.EXAMPLES,
        shared.INTERVALS,
        shared.BATCH,
        *naming.NAMES,
        CONVENTION,
        CREATOR,
        _CREATOR_NAME,
        _RELEASE,
        _TITLE,
        _URL,
    )

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the four files about the source, and two per batch of features."""
        with shared.feature_stream(snapshot, choices, out.folder) as stream:
            names = naming.dictionary_names(snapshot, stream.source, choices)
            lens = find_lens(snapshot, stream.source, stream.strings, choices["convention"])
            near = find_neighbours(snapshot, stream.source, "decoder")
            fields = DashboardFeatures(snapshot, lens, Rounding())
            rows = _Rows(names, fields, choices["creator-id"], created_at(snapshot), near)
            folder = f"{names.model}/{names.source}"
            for name, row in rows.about(snapshot, choices):
                out.write(f"{folder}/{name}.jsonl", json_lines([row]))
            for batch in stream.batches():
                name = f"batch-{batch.number}.jsonl.gz"
                if out.has(f"{folder}/features/{name}"):
                    continue
                clusters = list(batch.rows())
                activations = [line for row in clusters for line in rows.activations(row)]
                # The importer breaks off at a file without a line.
                if activations:
                    out.write(f"{folder}/activations/{name}", _packed(activations))
                out.write(f"{folder}/features/{name}", _packed(map(rows.feature, clusters)))
        found = notes(fields, stream.source)
        return found if near else [*found, "empty, since no neighbours are attached: topkCosSim"]


def _packed(rows: Iterable[dict[str, Any]]) -> bytes:
    """Return a file of lines, in which no text looks like the escape of a NUL.

    The importer puts a blank for each ``\\u0000`` of a file before it reads it as JSON, where it is
    the end of an escaped backslash, too. No text holds a NUL.
    """
    return gzipped(json_lines(rows).replace(rb"\\u0000", rb"\u005cu0000"))


def created_at(snapshot: Snapshot) -> str:
    """Return when the snapshot was made, UTC without saying so, as the database has it."""
    moment = datetime.fromisoformat(snapshot.manifest.created)
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def activation_id(*what: object) -> str:
    """Return the id of an example: 25 characters that begin with c, from what it is."""
    text = "\n".join(map(str, what)).encode()
    digits = base64.b32encode(hashlib.sha256(text).digest()).decode().lower()
    return f"c{digits[: _ID_LENGTH - 1]}"


@dataclass(frozen=True)
class _Rows:
    """The lines of the files."""

    names: DictionaryNames
    fields: DashboardFeatures
    creator: str
    created: str
    near: FeatureRows | None

    def about(self, snapshot: Snapshot, choices: Choices) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows of release, model, source set and source."""
        names, dataset = self.names, dataset_of(snapshot)
        release = choices["release"] or names.set
        title = choices["release-title"] or release
        named = {"creatorId": self.creator, "createdAt": self.created}
        urls = [choices["url"]] if choices["url"] else []
        yield (
            "release",
            {
                "name": release,
                "description": title,
                "creatorName": choices["creator-name"],
                "visibility": "PUBLIC",
                "isNewUi": False,
                "featured": False,
                "descriptionShort": title,
                "urls": urls,
                "creatorEmail": None,
                "creatorNameShort": choices["creator-name"],
                "defaultSourceSetName": names.set,
                "defaultSourceId": None,
                "defaultUmapSourceIds": [],
                **named,
            },
        )
        yield (
            "model",
            {
                "id": names.model,
                "instruct": names.model.endswith("-it"),
                "displayNameShort": names.model,
                "displayName": names.model,
                "tlensId": None,
                "dimension": None,
                "visibility": "PUBLIC",
                "defaultSourceSetName": None,
                "defaultSourceId": None,
                "inferenceEnabled": False,
                "layers": 0,
                "neuronsPerLayer": 0,
                "owner": "",
                "updatedAt": self.created,
                "website": None,
                **named,
            },
        )
        yield (
            "sourceset",
            {
                "modelId": names.model,
                "name": names.set,
                "hasDashboards": True,
                "visibility": "PUBLIC",
                "description": title,
                "type": "",
                "creatorName": choices["creator-name"],
                "urls": urls,
                "creatorEmail": None,
                "releaseName": release,
                "defaultOfModelId": None,
                "defaultRange": 1,
                "defaultShowBreaks": True,
                "showDfa": False,
                "showCorrelated": False,
                "showHeadAttribution": False,
                "showUmap": False,
                **named,
            },
        )
        yield (
            "source",
            {
                "id": names.source,
                "modelId": names.model,
                "setName": names.set,
                "hasDashboards": True,
                "inferenceEnabled": False,
                "inferenceHosts": [],
                "saelensConfig": None,
                "saelensRelease": None,
                "saelensSaeId": None,
                "hfRepoId": None,
                "hfFolderId": None,
                "visibility": "PUBLIC",
                "defaultOfModelId": None,
                "hasUmap": False,
                "hasUmapLogSparsity": False,
                "hasUmapClusters": False,
                "num_prompts": dataset["n_prompts_total"],
                "num_tokens_in_prompt": dataset["n_tokens_in_prompt"],
                "dataset": dataset["dataset"],
                "notes": f"millrace, content {snapshot.content}",
                **named,
            },
        )

    def feature(self, row: ClusterRow) -> dict[str, Any]:
        """Return a feature's line."""
        largest = self.fields.rounding(row.numbers["max_activation"])
        near = self.near.of(row.index) if self.near else None
        return {
            "modelId": self.names.model,
            "layer": self.names.source,
            "index": str(row.index),
            "creatorId": self.creator,
            "createdAt": self.created,
            "maxActApprox": largest,
            "hasVector": False,
            "vector": [],
            "vectorLabel": None,
            "vectorDefaultSteerStrength": largest,
            "hookName": self.names.hook or None,
            "topkCosSimIndices": near["other_indices"] if near else [],
            "topkCosSimValues": self.fields.rounding.all(near["cosines"]) if near else [],
            **self.fields.fields(row),
            "decoder_weights_dist": [],
            "sourceSetName": self.names.set,
        }

    def activations(self, row: ClusterRow) -> Iterator[dict[str, Any]]:
        """Yield a line per example of a feature."""
        identity = self.fields.snapshot.identity
        for example, low, high, share in self.fields.groups(row):
            values = example.values(self.fields.rounding.each)
            named = (identity, self.names.model, self.names.source, row.index, low, high)
            yield {
                "id": activation_id(*named, example.sample.hex()),
                "tokens": example.tokens,
                "index": str(row.index),
                "layer": self.names.source,
                "modelId": self.names.model,
                "maxValue": max(values),
                "maxValueTokenIndex": values.index(max(values)),
                "minValue": min(values),
                "values": values,
                "creatorId": self.creator,
                "dataSource": None,
                "dataIndex": None,
                "dfaValues": [],
                "dfaTargetIndex": None,
                "dfaMaxValue": None,
                "createdAt": self.created,
                "lossValues": [],
                "logitContributions": None,
                "binMin": low,
                "binMax": high,
                "binContains": share,
                "qualifyingTokenIndex": example.peak,
                "zIndices": None,
                "zValues": None,
            }
