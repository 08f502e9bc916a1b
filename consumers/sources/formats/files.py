"""Files of weights, opened so that nothing in them can run."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from consumers.models.language_model import one_line
from consumers.models.safe_loading import read_object
from streams.errors import ModelError
from streams.regular_files import read_bounded

# Weights hardly become smaller by compression; what unpacks to more than this is no dictionary.
_UNPACKED = 64
_MOST_TEXT = 2**22


def file_in(place: Path, *names: str) -> Path | None:
    """Return the file at a place, or the first of those names in the folder there."""
    if place.is_file():
        return place
    return next((place / name for name in names if (place / name).is_file()), None)


def safetensor_names(file: Path) -> frozenset[str]:
    """Return the names of a safetensors file's tensors; none for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return frozenset(opened.keys())
    except (OSError, SafetensorError):
        return frozenset()


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raises ModelError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"it cannot be read: {one_line(error)}") from error


def array_names(file: Path) -> frozenset[str]:
    """Return the names of a NumPy archive's arrays; none for any other file."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return frozenset()
    arrays = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]
    return frozenset(arrays if len(arrays) == len(names) else ())


def read_arrays(file: Path) -> dict[str, Tensor]:
    """Return the arrays of a NumPy archive, never objects; raises ModelError."""
    import numpy as np

    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _UNPACKED * file.stat().st_size:
            raise ModelError(f"it is said to unpack to {size:,} bytes")
        with np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in arrays}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(f"it cannot be read: {one_line(error)}") from error


def is_torch_file(file: Path) -> bool:
    """Return whether a file has the suffix and the first bytes of what ``torch.save`` writes."""
    if file.suffix not in (".pt", ".pth"):
        return False
    with file.open("rb") as opened:
        return opened.read(2) in (b"PK", b"\x80\x02")


def read_torch(file: Path) -> dict[str, Any]:
    """Return the state that ``torch.save`` wrote: tensors, numbers and texts alone.

    Files that are archives are mapped, so that only what is used is read. Raises ModelError if the
    file holds anything else, which is never unpickled.
    """
    try:
        mapped = zipfile.is_zipfile(file)
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever its unpickler raises, the person gets one line
        text = str(error)
        if "Unsupported" in text or "WeightsUnpickler" in text or "weights_only" in text.lower():
            raise ModelError(
                "it holds more than tensors, numbers and texts, which is never unpickled, since "
                "it could run code; if you trust it, save its state_dict() alone"
            ) from error
        raise ModelError(f"it cannot be read: {one_line(error)}") from error
    if not isinstance(found, Mapping):
        raise ModelError(f"it holds a {type(found).__name__} instead of named tensors")
    return dict(found)


def torch_names(file: Path) -> frozenset[str]:
    """Return the names in a torch file; none if it is none or cannot be read safely."""
    if not is_torch_file(file):
        return frozenset()
    try:
        return frozenset(map(str, read_torch(file)))
    except ModelError:
        return frozenset()


def config_at(file: Path) -> dict[str, Any]:
    """Return a JSON object; of a file that is not there, an empty one."""
    return read_object(file) if file.is_file() else {}


def yaml_at(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, plain values alone; an empty one without such a file."""
    import yaml

    if not file.is_file():
        return {}
    try:
        found = yaml.safe_load(read_bounded(file, _MOST_TEXT))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ModelError(f"{file.name} cannot be read: {one_line(error)}") from error
    return found if isinstance(found, dict) else {}


def layer_of(place: Path) -> int | None:
    """Return the number after "layer" in the innermost name of a path that has one."""
    for part in reversed(place.parts):
        if found := re.search(r"(?:^|[^a-z])layers?[._]?(\d+)(?!\d)", part):
            return int(found[1])
    return None


def with_hook(found: dict[str, Any], hook: str | None) -> dict[str, Any]:
    """Return metadata with the hook, if it is known."""
    return {**found, "hook_name": hook} if hook else found
