"""Encoder and decoder directions of a dictionary of any format, as arrays, loaded as a run does."""

from dataclasses import dataclass
from typing import Any

import torch

from consumers.encoders.forms import LinearForm
from consumers.sources.decomposed import load_factors
from consumers.sources.dictionary import load_dictionary
from consumers.sources.sae_loading import load_sae
from consumers.sources.weights import load_weights
from streams.arrays import F32


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """Directions [feature, width], None for none. content: the hash that a run record holds.

    reads, writes: the hook points that they are for, writes empty where it is not known.
    """

    reads: str
    writes: str
    content: str
    encoder: F32 | None
    decoder: F32 | None


def load_directions(name: str, kind: str, location: str, hook: str) -> Directions:
    """Return the directions of a dictionary, or of weight components, which have no decoder.

    Those of a decomposed layer are V and U; what U writes is the layer's output, which has no hook.

    hook: empty for the one that its metadata names. Raises ModelError for what cannot be loaded.
    """
    device = torch.device("cpu")
    if kind == "weights":
        weights = load_weights(name, location, hook, device)
        matrix = weights.form.weight if isinstance(weights.form, LinearForm) else None
        return Directions(hook, "", weights.content, _rows(matrix, False), None)
    if kind == "decomposed":
        content, v, u = load_factors(name, location)
        return Directions(hook, "", content, _rows(v, True), _rows(u, False))
    loaded = load_dictionary(name, location, hook or None, device)
    sae, _ = load_sae(name, location, device)
    transcodes = "transcoder" in sae.cfg.architecture()
    return Directions(
        loaded.hook,
        loaded.training.writes or ("" if transcodes else loaded.hook),
        loaded.content,
        encoder=_rows(getattr(sae, "W_enc", None), transposed=True),
        decoder=_rows(getattr(sae, "W_dec", None), transposed=False),
    )


def _rows(weight: Any, transposed: bool) -> F32 | None:
    """Return a matrix of torch as directions [feature, width]."""
    if weight is None:
        return None
    array: F32 = weight.detach().float().cpu().numpy()
    return array.T if transposed else array
