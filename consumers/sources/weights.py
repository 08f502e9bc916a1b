"""Weight components as a source: ``x @ V``, V a tensor of a safetensors file."""

import torch
from torch import Tensor

from consumers.encoders.forms import LinearForm
from consumers.models.language_model import close, content_of, one_line
from consumers.sources.source import LoadedSource, OpenedSource, WantedSource
from streams.errors import ModelError


class Weights:
    """The kind of source for low-rank components of weights."""

    name = "weights"

    def open(self, wanted: WantedSource, device: torch.device) -> OpenedSource:
        """Return the components; errors as in ``load_weights``."""
        source = load_weights(wanted.name, wanted.location, str(wanted.hook), device)
        return OpenedSource(source.hook, lambda _width: source)


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
        form=LinearForm(prepare=lambda values: values.float(), weight=matrix.T),
    )
