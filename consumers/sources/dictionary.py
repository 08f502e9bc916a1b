"""Dictionaries as sources: SAEs, transcoders and their kin, through SAELens."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from consumers.models.language_model import content_of, one_line
from consumers.sources.sae_forms import form_of
from consumers.sources.sae_loading import encoded, load_sae
from consumers.sources.source import LoadedSource, OpenedSource, WantedSource
from consumers.sources.training import training_of
from streams.errors import ModelError
from streams.no_installs import no_installs


class Dictionary:
    """The kind of source for whatever SAELens or one of the ``formats`` reads."""

    name = "dictionary"

    def open(self, wanted: WantedSource, device: torch.device) -> OpenedSource:
        """Return a dictionary; errors as in ``load_dictionary``."""
        source, wishes = _loaded(wanted.name, wanted.location, wanted.hook, device)
        return OpenedSource(source.hook, lambda _width: source, wishes)


def load_dictionary(
    name: str, location: str, hook: str | None, device: torch.device
) -> LoadedSource:
    """Return a dictionary; its ``encode`` is SAELens' own, in the dictionary's dtype.

    location: a folder or file, of SAELens or in one of the ``formats``, or ``release#id``. hook:
    None for the one that the metadata names. Raises ModelError if it cannot be loaded or its
    components depend on more than the row before them.
    """
    return _loaded(name, location, hook, device)[0]


def _loaded(
    name: str, location: str, hook: str | None, device: torch.device
) -> tuple[LoadedSource, dict[str, Any]]:
    """Return a dictionary, and what it says about loading its model."""
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
    source = LoadedSource(
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
        form=form_of(name, sae),
        rebuild=_rebuild(sae, converted.skip if converted else None) if rebuilds else None,
        training=training_of({**metadata.to_dict(), "hook_name": hook}),
        warnings=(
            *_scaling(name, config.normalize_activations),
            *(f"dictionary {name!r}: {line}" for line in said),
        ),
    )
    return source, dict(metadata.model_from_pretrained_kwargs or {})


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
