"""Sources of components: dictionaries, neurons and weight components, as functions of a hook."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from consumers.activations.encoders import Encoder, TopKEncoder
from consumers.activations.sae_loading import encoded, load_sae
from consumers.activations.saes import encoder_of
from consumers.inference.models import close, content_of, one_line
from consumers.runs.training import Training, training_of
from streams.errors import ModelError
from streams.no_installs import no_installs
from streams.records.runs import Kind, Sign


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSource:
    """A source on its device.

    encode: values [token, width] -> components [token, component]; with whole_rows instead
    [row, position, width] -> [row, position, component], for dictionaries that look back.
    encoder: the same in a form that can be computed some components at a time, None if there is
    none. rebuild: what the hook that it is for (``training.writes``, else the one that it reads)
    should hold [token, width], of values read and their components; None where it cannot tell.
    wishes: what a dictionary says about loading its model. training: how it was trained. warnings:
    what else has to be said of it, a line each.
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
    rebuild: Callable[[Tensor, Tensor], Tensor] | None = None
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
    """Return a dictionary; its ``encode`` is SAELens' own, in the dictionary's dtype.

    location: a folder or file, of SAELens or in one of the ``formats``, or ``release#id``. hook:
    None for the one that the metadata names. Raises ModelError if it cannot be loaded or its
    components depend on more than the row before them.
    """
    with warnings.catch_warnings(), no_installs(f"loading dictionary {name!r}"):
        warnings.simplefilter("ignore")
        sae, converted = load_sae(name, location, device)
    sae.requires_grad_(False)
    sae.turn_off_forward_pass_hook_z_reshaping()  # rows come flattened
    config, metadata = sae.cfg, sae.cfg.metadata
    hook = hook or metadata.hook_name or metadata.hf_hook_name
    if not hook:
        raise ModelError(
            f"dictionary {name!r} ({location}) names no hook: set the one that it reads in the "
            'settings, such as hook = "blocks.8.hook_resid_post"'
        )
    if metadata.hook_head_index is not None:
        raise ModelError(f"dictionary {name!r} reads one attention head, which is not supported")
    _try(sae, f"dictionary {name!r} ({location})")
    architecture = config.architecture()
    rebuilds = converted is None or converted.rebuilds
    said = converted.warnings if converted and hook == metadata.hook_name else ()
    return LoadedSource(
        name=name,
        kind="dictionary",
        location=location,
        content=content_of(sae.state_dict().items(), also=_identity(config)),
        hook=str(hook),
        width=int(config.d_in),
        components=int(config.d_sae),
        encode=lambda values: encoded(sae, values),
        sign="absolute" if architecture == "abstopk" else "value",
        whole_rows=architecture == "temporal",
        encoder=encoder_of(name, sae),
        rebuild=_rebuild(sae, converted.skip if converted else None) if rebuilds else None,
        wishes=dict(metadata.model_from_pretrained_kwargs or {}),
        training=training_of({**metadata.to_dict(), "hook_name": hook}),
        warnings=(
            *_scaling(name, config.normalize_activations),
            *(f"dictionary {name!r}: {line}" for line in said),
        ),
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


def _rebuild(sae: Any, skip: Tensor | None) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return what a dictionary rebuilds, token by token; None if its metadata names no hook.

    skip: [written, read], of a connection that SAELens' object does not have.
    """
    architecture = sae.cfg.architecture()
    transcodes = "transcoder" in architecture
    if architecture == "temporal" or (transcodes and not sae.cfg.metadata.hook_name_out):
        return None
    added: Tensor | None = getattr(sae, "W_skip", skip)

    def rebuild(read: Tensor, components: Tensor) -> Tensor:
        found: Tensor = sae.decode(components)
        if added is None:
            return found
        return found + read.to(added.dtype) @ added.to(read.device).T

    return rebuild


def _try(sae: Any, what: str) -> None:
    """Raise ModelError if SAELens itself cannot encode with a dictionary."""
    tokens = torch.randn(1, 2, int(sae.cfg.d_in), generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            encoded(sae, tokens.to(sae.device, sae.dtype))
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
