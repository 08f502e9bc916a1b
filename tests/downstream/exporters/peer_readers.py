"""Reads an export with the classes of the tool it is for, and prints what it saw as JSON.

``PYTHON peer_readers.py FORMAT FOLDER``, with the Python of the readers' environment: nothing of
Millrace is imported.
"""

import gzip
import json
import sys
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any


def saedashboard(folder: Path) -> Any:
    """SAEDashboard's batches."""
    from sae_dashboard.neuronpedia.neuronpedia_dashboard import NeuronpediaDashboardBatch

    found = {}
    for file in sorted(folder.glob("batch-*.json")):
        data = json.loads(file.read_text())
        batch = NeuronpediaDashboardBatch(**data)
        if batch.to_dict() != data:
            raise SystemExit(f"{file.name} comes back as something else")
        for feature in batch.features:
            found[feature.feature_index] = [
                [a.tokens, a.values, a.qualifying_token_index] for a in feature.activations
            ]
    return found


def neuronpedia(folder: Path) -> Any:
    """Neuronpedia's rows, by two of its clients."""
    from neuronpedia.np_activation import Activation  # type: ignore[import-not-found]
    from neuronpedia.np_feature import Feature  # type: ignore[import-not-found]
    from neuronpedia_autointerp_client.models.np_activation import NPActivation  # type: ignore[import-not-found]

    (source,) = folder.glob("*/*/source.jsonl")
    found: dict[str, list[Any]] = {}
    for file in sorted(source.parent.glob("features/*.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            row = json.loads(line)
            feature = Feature(row["modelId"], row["layer"], int(row["index"]), row["frac_nonzero"])
            found[str(feature.index)] = []
    for file in sorted(source.parent.glob("activations/*.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            row = json.loads(line)
            strict = NPActivation.from_dict({"tokens": row["tokens"], "values": row["values"]})
            # Its class knows bins of examples only as shares, and the best have none.
            share = None if row["binContains"] == -1 else row["binContains"]
            own = {**row, "source": row["layer"], "binContains": share}
            activation = Activation.from_np_db_json(own)
            if strict is None or strict.values != activation.values:
                raise SystemExit("the two clients disagree")
            found[str(activation.index)].append(
                [activation.tokens, activation.values, row["qualifyingTokenIndex"]]
            )
    return found


def circuit_tracer(folder: Path) -> Any:
    """circuit-tracer's model of a feature, from single files."""
    files = sorted(folder.glob("features/*/*.json"))
    return _features(json.loads(file.read_text()) for file in files)


def circuit_tracer_binary(folder: Path) -> Any:
    """The same from binary files, read as the page reads them: a range of bytes per feature."""
    index = json.loads(gzip.decompress((folder / "features/index.json.gz").read_bytes()))
    records = []
    for layer in filter(None, index):
        data = (folder / "features" / layer["filename"]).read_bytes()
        for start, end in zip(layer["offsets"], layer["offsets"][1:], strict=False):
            given = data[start : end + 1]  # a range of bytes names the last one
            length = int.from_bytes(given[:4], "little")
            records.append(json.loads(zlib.decompress(given[4 : 4 + length])))
    return _features(records)


def _features(records: Any) -> Any:
    from circuit_tracer.frontend.feature_models import Model  # type: ignore[import-not-found]

    found = {}
    for record in records:
        model = Model.model_validate(record, strict=True)
        found[model.index] = [
            [example.tokens, example.tokens_acts_list, example.train_token_ind]
            for quantile in model.examples_quantiles
            for example in quantile.examples
        ]
    return found


def spd(folder: Path) -> Any:
    """ZANJ's archive."""
    from zanj import ZANJ  # type: ignore[import-not-found]

    data = ZANJ().read(str(folder / "dashboard.zanj"))
    pairs = data["coactivations"]
    return {
        "clusters": {
            name: [
                [sample["tokens"], sample["activations"].tolist(), sample["text_hash"]]
                for sample in cluster["samples"]
            ]
            for name, cluster in data["clusters"].items()
        },
        "texts": {key: text["full_text"] for key, text in data["text_samples"].items()},
        "coactivations": None if pairs is None else pairs.tolist(),
        "cluster_indices": data["cluster_indices"],
    }


def delphi(folder: Path) -> Any:
    """delphi's data set of the cache, whose tokenizer is not asked for anything."""
    from delphi.config import ConstructorConfig, SamplerConfig
    from delphi.latents import LatentDataset

    data = LatentDataset(
        folder / "latents",
        SamplerConfig(),
        ConstructorConfig(non_activating_source="neighbours", neighbours_type="co-occurrence"),
        tokenizer=object(),
    )
    found: dict[int, Any] = {}
    for buffer in data.buffers:
        for latent in buffer:
            if latent is not None:
                active = latent.activation_data
                found[latent.latent.latent_index] = [
                    [*map(int, place[:2]), float(value)]
                    for place, value in zip(active.locations, active.activations, strict=True)
                ]
    (neighbours,) = data.neighbours.values()
    return {"tokens": data.tokens.tolist(), "active": found, "neighbours": neighbours}


READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "saedashboard": (saedashboard, "sae-dashboard"),
    "neuronpedia": (neuronpedia, "neuronpedia"),
    "circuit-tracer": (circuit_tracer, "circuit-tracer"),
    "circuit-tracer-binary": (circuit_tracer_binary, "circuit-tracer"),
    "spd": (spd, "zanj"),
    "delphi": (delphi, "eai-delphi"),
}

if __name__ == "__main__":
    read, package = READERS[sys.argv[1]]
    seen = read(Path(sys.argv[2]))
    sys.stdout.write(json.dumps({"version": version(package), "seen": seen}))
