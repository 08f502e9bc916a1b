"""Encoder and decoder directions of a run's sources, read from where the run record says.

SAELens folders and weight components are safetensors and read here. Dictionaries of other tools
need their own loaders, which need torch: the caller gives a function that returns them.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from downstream.derived.safetensors_files import open_tensors
from streams.arrays import F32
from streams.errors import ModelError
from streams.regular_files import read_bounded
from streams.strict_json import JsonError, parse_json

_WEIGHTS, _CONFIG = "sae_weights.safetensors", "cfg.json"
_MOST_CONFIG = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A source of features as directions; its arrays are read when they are first asked for.

    name: the source's. reads, writes: the hook points that encoder and decoder are for; writes is
    empty where there is no decoder. read_encoder, read_decoder: what gives the directions. checked:
    its weights were compared with the run's. published: its release at Neuronpedia, as its own
    configuration says, "" for none.
    """

    name: str
    location: str
    reads: str
    writes: str
    read_encoder: Callable[[], F32 | None]
    read_decoder: Callable[[], F32 | None]
    checked: bool = False
    published: str = ""

    @cached_property
    def encoder(self) -> F32 | None:
        """Directions read along [feature, width]; None if it has none.

        Raises ModelError if they are not finite.
        """
        return self._finite("encoder", self.read_encoder())

    @cached_property
    def decoder(self) -> F32 | None:
        """Directions written along [feature, width]; as for the encoder."""
        return self._finite("decoder", self.read_decoder())

    def _finite(self, which: str, directions: F32 | None) -> F32 | None:
        if directions is not None and not np.isfinite(directions).all():
            raise ModelError(f"source {self.name!r} in {self.location}: its {which} is not finite")
        return None if directions is None else np.ascontiguousarray(directions)


Load = Callable[[Mapping[str, Any]], Dictionary]
"""From a source as the manifest lists it to its directions; raises ModelError."""


def is_saelens_folder(location: str) -> bool:
    """Return whether SAELens' two files lie in a folder."""
    place = Path(location).expanduser()
    return all((place / name).is_file() for name in (_WEIGHTS, _CONFIG))


def read_dictionary(source: Mapping[str, Any]) -> Dictionary:
    """Return a source whose weights are safetensors of SAELens, or weight components.

    Raises ModelError if they cannot be read or are of another size than the run's.
    """
    name, location = str(source["name"]), str(source["location"])
    if source.get("kind") == "weights":
        return _weights(name, location, source)
    place = Path(location).expanduser()
    tensors = open_tensors(place, _WEIGHTS)
    config = _config(place / _CONFIG)
    shape = tensors.shape("W_dec")
    if len(shape) != 2 or shape[0] != source.get("components", shape[0]):
        raise ModelError(
            f"dictionary {name!r} in {location} has the shape {list(shape)}, and the run has "
            f"{source.get('components')} features of it: name the right one with --dictionary"
        )
    return Dictionary(
        name,
        location,
        str(source.get("hook", "")),
        _written(config, str(source.get("hook", ""))),
        read_encoder=lambda: tensors.read("W_enc").T if "W_enc" in tensors else None,
        read_decoder=lambda: tensors.read("W_dec"),
        published=str(_metadata(config).get("neuronpedia_id") or ""),
    )


def provenance(dictionary: Dictionary) -> dict[str, Any]:
    """Return what says from which weights of a dictionary something was computed."""
    directions = {"decoder": dictionary.decoder, "encoder": dictionary.encoder}
    digests = {f"{n}_sha256": sha256_of(d) for n, d in directions.items() if d is not None}
    return {
        "source": dictionary.name,
        "location": dictionary.location,
        "writes": dictionary.writes,
        "compared_with_run": dictionary.checked,
        **({"neuronpedia_id": dictionary.published} if dictionary.published else {}),
        **digests,
    }


def sha256_of(array: F32) -> str:
    """Return the SHA-256 of an array's values, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).data.cast("B")).hexdigest()


def units(directions: F32) -> F32:
    """Return directions [n, width] at length 1; those of length 0 stay."""
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    scale: F32 = np.where(lengths > 0, lengths, 1).astype(np.float32)
    return directions / scale


def _weights(name: str, location: str, source: Mapping[str, Any]) -> Dictionary:
    path, _, tensor = location.rpartition("#")
    tensors = open_tensors(Path(path).expanduser())
    shape, hook = tensors.shape(tensor), str(source.get("hook", ""))
    if len(shape) != 2 or shape[1] != source.get("components", shape[1]):
        raise ModelError(f"weights {name!r} in {location} have the shape {list(shape)}")
    return Dictionary(name, location, hook, "", lambda: tensors.read(tensor).T, lambda: None)


def _config(path: Path) -> Mapping[str, Any]:
    """Return a dictionary's configuration; raises ModelError."""
    try:
        found = parse_json(read_bounded(path, _MOST_CONFIG), _MOST_CONFIG, finite=False)
    except (OSError, JsonError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object")
    return found


def _metadata(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what it says about itself, which older ones say beside the rest."""
    metadata = config.get("metadata")
    return metadata if isinstance(metadata, dict) else config


def _written(config: Mapping[str, Any], hook: str) -> str:
    """Return the hook point that a dictionary's decoder is for."""
    if "transcoder" not in str(config.get("architecture", "")):
        return hook
    return str(_metadata(config).get("hook_name_out") or "")
