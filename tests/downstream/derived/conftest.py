"""A finished snapshot whose run names a model and two dictionaries that lie on disk."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from downstream.derived.derivation import Given
from downstream.derived.dictionaries import read_dictionary
from downstream.reading.snapshot import Snapshot
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store, write_manifest
from tests.downstream.dashboard.snapshot_files import small, write_snapshot

WIDTH, FEATURES = 12, 5


@dataclass(frozen=True)
class World:
    """The snapshot, and what was written for it: arrays by their names in the files."""

    manifest: RunManifest
    model: Path
    weights: dict[str, Any]
    dictionaries: dict[str, dict[str, Any]]

    @property
    def given(self) -> Given:
        """What attachments are derived from."""
        return Given(Snapshot(self.manifest), read_dictionary)


def write_dictionary(folder: Path, seed: int, features: int = FEATURES) -> dict[str, Any]:
    """Write a dictionary of random directions as SAELens does; return its arrays."""
    from safetensors.numpy import save_file

    chance = np.random.default_rng(seed)
    arrays = {
        "W_enc": chance.standard_normal((WIDTH, features)).astype(np.float32),
        "W_dec": chance.standard_normal((features, WIDTH)).astype(np.float32),
    }
    folder.mkdir(parents=True)
    save_file(arrays, str(folder / "sae_weights.safetensors"))
    (folder / "cfg.json").write_text('{"architecture": "standard"}')
    return arrays


def write_model(folder: Path, tokens: int) -> dict[str, Any]:
    """Write what a GPT-2 of 12 values has of an embedding and a final norm."""
    from safetensors.numpy import save_file

    chance = np.random.default_rng(1)
    arrays = {
        "transformer.wte.weight": chance.standard_normal((tokens, WIDTH)).astype(np.float32),
        "transformer.ln_f.weight": chance.standard_normal(WIDTH).astype(np.float32),
    }
    folder.mkdir(parents=True)
    save_file(arrays, str(folder / "model.safetensors"))
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    return arrays


def sources_on_disk(folder: Path, count: int = 2) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write dictionaries; return how a manifest lists them, and their arrays by name."""
    listed, arrays = [], {}
    for number in range(count):
        name = "sae" if number == 0 else f"sae-{number + 1}"
        arrays[name] = write_dictionary(folder / name, seed=number + 2)
        hook = "blocks.2.hook_resid_post"
        listed.append({"name": name, "kind": "dictionary", "hook": hook, "components": FEATURES})
        listed[-1]["location"] = str(folder / name)
    return listed, arrays


def written(store: Path, folder: Path, **changes: Any) -> World:
    """Write a snapshot and the weights of its run."""
    made = small()
    tokens = len(made.vocabulary)
    weights = write_model(folder / "model", tokens + 3)  # a model has rows beyond its tokenizer
    sources, arrays = sources_on_disk(folder)
    manifest = write_snapshot(str(store), made)
    about = {**manifest.about, "model": str(folder / "model"), "sources": sources}
    manifest = replace(manifest, about={**about, **changes})
    write_manifest(open_store(manifest.store), manifest)
    return World(manifest, folder / "model", weights, arrays)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A snapshot of two dictionaries and a model."""
    return written(tmp_path / "store", tmp_path / "weights")
