"""Sources of components: dictionaries, neurons and weight components, as functions of a hook."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from consumers.activations.encoders import Encoder, TopKEncoder
from consumers.activations.saes import encoder_of
from consumers.inference.models import close, content_of, one_line
from consumers.inference.safe_loading import read_object, safetensors_only
from consumers.runs.training import Training, training_of
from streams.bounds import MAX_CLUSTERS, shown
from streams.errors import ModelError
from streams.no_installs import no_installs
from streams.runs import Kind, Sign


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSource:
    """A source on its device.

    encode: values [token, width] -> components [token, component]; with whole_rows instead
    [row, position, width] -> [row, position, component], for dictionaries that look back.
    encoder: the same in a form that can be computed some components at a time, None if there is
    none. decode: components back to values of the hook [token, width], None where a source has no
    reconstruction of it. wishes: what a dictionary says about loading its model. training: how it
    was trained. warnings: what else has to be said of it, a line each.
    """

    name: str
    kind: Kind
    location: str
    content: str
    hook: str
    width: int
    components: int
    encode: Callable[[Tensor], Tensor]
    sign: Sign = "value"
    whole_rows: bool = False
    encoder: Encoder | TopKEncoder | None = None
    decode: Callable[[Tensor], Tensor] | None = None
    wishes: dict[str, Any] = field(default_factory=dict)
    training: Training = Training()
    warnings: tuple[str, ...] = ()

    def values(self, hooked: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the components [token, component] of hook values [token, width].

        With ``valid`` [row, position] those of its tokens, row by row, from [row, position, width].
        """
        return self.encode(hooked) if valid is None else self.encode(hooked)[valid]


def load_dictionary(
    name: str, location: str, hook: str | None, device: torch.device
) -> LoadedSource:
    """Return a SAELens dictionary; its ``encode`` is SAELens' own, in the dictionary's dtype.

    location: a folder, or ``release#id``. hook: None for the one that the metadata names. Raises
    ModelError if it cannot be loaded or its components depend on more than the row before them.
    """
    with warnings.catch_warnings(), no_installs(f"loading dictionary {name!r}"):
        warnings.simplefilter("ignore")
        sae = _load_sae(name, location, device).eval()
    sae.requires_grad_(False)
    sae.turn_off_forward_pass_hook_z_reshaping()  # rows come flattened
    config, metadata = sae.cfg, sae.cfg.metadata
    hook = hook or metadata.hook_name or metadata.hf_hook_name
    if not hook:
        raise ModelError(f"dictionary {name!r} ({location}) names no hook: set one in the settings")
    if metadata.hook_head_index is not None:
        raise ModelError(f"dictionary {name!r} reads one attention head, which is not supported")
    _try(sae, f"dictionary {name!r} ({location})")
    architecture = config.architecture()
    return LoadedSource(
        name=name,
        kind="dictionary",
        location=location,
        content=content_of(sae.state_dict().items(), also=_identity(config)),
        hook=str(hook),
        width=int(config.d_in),
        components=int(config.d_sae),
        encode=lambda values: _encode(sae, values),
        sign="absolute" if architecture == "abstopk" else "value",
        whole_rows=architecture == "temporal",
        encoder=encoder_of(name, sae),
        decode=sae.decode if _rebuilds(architecture) else None,
        wishes=dict(metadata.model_from_pretrained_kwargs or {}),
        training=training_of({**metadata.to_dict(), "hook_name": hook}),
        warnings=_scaling(name, config.normalize_activations),
    )


def neurons(name: str, hook: str, width: int) -> LoadedSource:
    """Return the values of a hook as components of their own; they have no content to hash."""
    return LoadedSource(
        name,
        "neurons",
        "",
        "",
        hook,
        width,
        width,
        encode=lambda values: values,
        encoder=Encoder(prepare=lambda values: values),
    )


def load_weights(name: str, location: str, hook: str, device: torch.device) -> LoadedSource:
    """Return components ``x @ V`` in float32; location: ``file#tensor``, V [width, component]."""
    from safetensors import SafetensorError, safe_open

    path, _, tensor = location.rpartition("#")
    try:
        with safe_open(path, framework="pt") as file:
            known = list(file.keys())
            if tensor not in known:
                hint = close(tensor, known) or f"; it has {', '.join(sorted(known)[:5])}"
                raise ModelError(f"{path} has no tensor {tensor!r}{hint}")
            weights: Tensor = file.get_tensor(tensor)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"weights {name!r}: cannot read {path}: {one_line(error)}") from error
    if weights.ndim != 2 or not weights.is_floating_point() or 0 in weights.shape:
        raise ModelError(
            f"tensor {tensor!r} of {path} is {weights.dtype} {list(weights.shape)}: "
            "weight components need numbers [width of the hook, components]"
        )
    content = content_of([("weights", weights)])
    matrix = weights.to(device, torch.float32).contiguous()
    return LoadedSource(
        name,
        "weights",
        location,
        content,
        hook,
        int(matrix.shape[0]),
        int(matrix.shape[1]),
        encode=lambda values: values.float() @ matrix,
        encoder=Encoder(prepare=lambda values: values.float(), weight=matrix.T),
    )


def _load_sae(name: str, location: str, device: torch.device) -> Any:
    from sae_lens import SAE
    from sae_lens.registry import SAE_CLASS_REGISTRY

    folder = Path(location).expanduser()
    release, mark, number = location.partition("#")
    try:
        if folder.is_dir() or not mark:
            _check_folder(name, folder, SAE_CLASS_REGISTRY)
            with safetensors_only():
                return SAE.load_from_disk(folder, device=str(device))
        with safetensors_only():
            return SAE.from_pretrained(release, number, device=str(device))
    except ModelError:
        raise
    except Exception as error:  # whatever the libraries raise, the person gets one line
        raise ModelError(
            f"cannot load dictionary {name!r} from {location}: {one_line(error)}"
        ) from error


def _check_folder(name: str, folder: Path, known: dict[str, Any]) -> None:
    for file in ("cfg.json", "sae_weights.safetensors"):
        if not (folder / file).is_file():
            raise ModelError(f"dictionary {name!r}: {folder} is no SAELens folder, it lacks {file}")
    config = read_object(folder / "cfg.json")
    _check_sizes(name, folder, config)
    architecture = config.get("architecture", "standard")
    if "batchtopk" in str(architecture):
        raise ModelError(
            f"dictionary {name!r} in {folder} is a {architecture} as it is trained, whose values "
            "depend on the batch: save it with SAELens' save_inference_model (its threshold form)"
        )
    if architecture not in known:
        raise ModelError(
            f"dictionary {name!r} in {folder} has the unknown architecture {architecture!r}: "
            f"SAELens loads {', '.join(sorted(known))}"
        )


def _check_sizes(name: str, folder: Path, config: dict[str, Any]) -> None:
    """Raise ModelError if the metadata speaks of more weights than the file can hold."""
    width, components = config.get("d_in"), config.get("d_sae")
    fits = type(width) is int and type(components) is int and min(width, components) > 0
    most = (folder / "sae_weights.safetensors").stat().st_size
    if not fits or components > MAX_CLUSTERS or width * components > most:  # type: ignore[operator]
        raise ModelError(
            f"dictionary {name!r} in {folder} has {shown(components)} features of "
            f"{shown(width)} values in its cfg.json, and weights of {most:,} bytes"
        )


def _rebuilds(architecture: str) -> bool:
    """Return whether a dictionary's reconstruction is of the hook that it reads, token by token."""
    return "transcoder" not in architecture and architecture != "temporal"


def _encode(sae: Any, values: Tensor) -> Tensor:
    encoded: Tensor = sae.encode(values)
    return encoded.to_dense() if encoded.is_sparse else encoded


def _try(sae: Any, what: str) -> None:
    """Raise ModelError if SAELens itself cannot encode with a dictionary."""
    tokens = torch.randn(1, 2, int(sae.cfg.d_in), generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            _encode(sae, tokens.to(sae.device, sae.dtype))
    except Exception as error:  # whatever its code raises, the person gets one line
        raise ModelError(f"{what} cannot encode: {one_line(error)}") from error


def _identity(config: Any) -> str:
    """Return what the components depend on beside the weights, as text."""
    fields = {k: v for k, v in config.to_dict().items() if k not in ("metadata", "device")}
    return json.dumps(fields, sort_keys=True, default=str)


def _scaling(name: str, normalisation: str) -> tuple[str, ...]:
    if normalisation not in ("expected_average_only_in", "covariance_whitening"):
        return ()
    return (
        f"dictionary {name!r} was trained on rescaled activations ({normalisation}) and its folder "
        "does not hold the scale: SAELens encodes without it, and so do we",
    )
