"""HookedTransformer: models of transformer-lens that its bridge cannot load, and nothing else.

It goes with transformer-lens' next major release, which has no such class, and this file with it.
What keeps it: some official names (such as ``attn-only-2l``, ``gelu-4l`` or ``redwood_attn_2l``)
are weights of transformer-lens' own that no class of transformers describes.
"""

from collections.abc import Mapping
from typing import Any

import torch

from consumers.models.language_model import one_line
from streams.errors import ModelError


def is_official_name(name: str) -> bool:
    """Return whether transformer-lens knows a model by this name."""
    from transformer_lens.supported_models import MODEL_ALIASES, OFFICIAL_MODEL_NAMES

    return name in OFFICIAL_MODEL_NAMES or any(name in names for names in MODEL_ALIASES.values())


def load_hooked_transformer(
    name: str, device: torch.device, dtype: torch.dtype, steps: Mapping[str, bool]
) -> Any:
    """Return a HookedTransformer of an official name that the bridge could not load."""
    from transformer_lens import HookedTransformer

    try:
        return HookedTransformer.from_pretrained_no_processing(
            name, device=device, dtype=dtype, **steps
        )
    except Exception as error:  # whatever the libraries raise, the person gets one line
        raise ModelError(f"cannot load model {name}: {one_line(error)}") from error
