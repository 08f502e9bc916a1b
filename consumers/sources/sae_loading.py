"""Dictionaries as objects of SAELens, whatever format they lie in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from consumers.models.language_model import one_line
from consumers.models.safe_loading import read_object, safetensors_only
from consumers.sources.formats import SAELENS_WEIGHTS
from consumers.sources.formats.format import Converted, Format
from consumers.sources.formats.hub import fetched
from consumers.sources.formats.registry import find_format, not_recognised
from streams.bounds import MAX_CLUSTERS, shown
from streams.errors import ModelError


def load_sae(name: str, location: str, device: torch.device) -> tuple[Any, Converted | None]:
    """Return a dictionary, ready to encode, and what it was converted from if it was.

    location: a folder or file, ``release#id``, or ``folder#inner``. Raises ModelError.
    """
    from sae_lens import SAE

    release, mark, number = location.partition("#")
    place: Path | None = Path(location).expanduser()
    try:
        if mark and not Path(location).expanduser().exists():
            inside = Path(release).expanduser()
            place = inside / number if inside.is_dir() else fetched(release, number)
        if place is None:
            with safetensors_only():
                return SAE.from_pretrained(release, number, device=str(device)).eval(), None
        if (found := find_format(place)) is not None:
            return _converted(name, place, found, device)
        _check_folder(name, place)
        with safetensors_only():
            return SAE.load_from_disk(place, device=str(device)).eval(), None
    except ModelError:
        raise
    except Exception as error:  # whatever the libraries raise, the person gets one line
        raise ModelError(
            f"cannot load dictionary {name!r} from {location}: {one_line(error)}"
        ) from error


def encoded(sae: Any, values: Tensor) -> Tensor:
    """Return SAELens' own components of hook values, dense."""
    found: Tensor = sae.encode(values)
    return found.to_dense() if found.is_sparse else found


def _converted(
    name: str, place: Path, found: Format, device: torch.device
) -> tuple[Any, Converted]:
    from sae_lens import SAE, __version__

    try:
        metadata, made = found.metadata(place), found.read(place)
    except ModelError as error:
        raise ModelError(f"dictionary {name!r} ({place}, {found.name}): {error}") from error
    width, components = made.weights["W_enc"].shape
    config = {
        "architecture": made.architecture,
        "d_in": int(width),
        "d_sae": int(components),
        "dtype": "float32",
        "device": str(device),
        "apply_b_dec_to_input": made.subtracts,
        **made.options,
        "metadata": {"sae_lens_version": __version__, **metadata},
    }

    def convert(*_: Any, **__: Any) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
        return config, {key: weight.to(device) for key, weight in made.weights.items()}

    return SAE.load_from_disk(place, device=str(device), converter=convert).eval(), made


def _check_folder(name: str, folder: Path) -> None:
    from sae_lens.registry import SAE_CLASS_REGISTRY

    for file in ("cfg.json", SAELENS_WEIGHTS):
        if not (folder / file).is_file():
            raise ModelError(f"dictionary {name!r}: {folder} {not_recognised(folder)}")
    try:
        config = read_object(folder / "cfg.json")
    except ModelError as error:
        raise ModelError(f"cannot load dictionary {name!r}: {error}") from error
    _check_sizes(name, folder, config)
    architecture = config.get("architecture", "standard")
    if "batchtopk" in str(architecture):
        raise ModelError(
            f"dictionary {name!r} in {folder} is a {architecture} as it is trained, whose values "
            "depend on the batch: save it with SAELens' save_inference_model (its threshold form)"
        )
    if architecture not in SAE_CLASS_REGISTRY:
        raise ModelError(
            f"dictionary {name!r} in {folder} has the unknown architecture {architecture!r}: "
            f"SAELens loads {', '.join(sorted(SAE_CLASS_REGISTRY))}"
        )


def _check_sizes(name: str, folder: Path, config: dict[str, Any]) -> None:
    """Raise ModelError if the metadata speaks of more weights than the file can hold."""
    width, components = config.get("d_in"), config.get("d_sae")
    fits = type(width) is int and type(components) is int and min(width, components) > 0
    most = (folder / SAELENS_WEIGHTS).stat().st_size
    if not fits or components > MAX_CLUSTERS or width * components > most:  # type: ignore[operator]
        raise ModelError(
            f"dictionary {name!r} in {folder} has {shown(components)} features of "
            f"{shown(width)} values in its cfg.json, and weights of {most:,} bytes"
        )
