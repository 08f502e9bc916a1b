"""Neurons as a source: the values of a hook as they are, one component each."""

import torch

from consumers.encoders.forms import LinearForm
from consumers.sources.source import LoadedSource, OpenedSource, WantedSource


class Neurons:
    """The kind of source for the values of a hook."""

    name = "neurons"

    def open(self, wanted: WantedSource, device: torch.device) -> OpenedSource:
        """Return the values of a hook, which the model knows and nothing has to be read for."""
        del device
        hook = str(wanted.hook)
        return OpenedSource(hook, lambda width: neurons(wanted.name, hook, width))


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
        form=LinearForm(prepare=lambda values: values),
    )
