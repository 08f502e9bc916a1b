"""All kinds of sources; a new one is a file and a line here."""

import torch

from consumers.sources.decomposed import Decomposed
from consumers.sources.dictionary import Dictionary
from consumers.sources.neurons import Neurons
from consumers.sources.own import Own
from consumers.sources.source import OpenedSource, SourceKind, WantedSource
from consumers.sources.weights import Weights
from streams.errors import ModelError

KINDS: tuple[SourceKind, ...] = (Dictionary(), Neurons(), Weights(), Decomposed(), Own())


def open_source(wanted: WantedSource, device: torch.device) -> OpenedSource:
    """Return a source of any kind; raises ModelError if it cannot be read or nobody knows it."""
    for kind in KINDS:
        if kind.name == wanted.kind:
            return kind.open(wanted, device)
    known = ", ".join(kind.name for kind in KINDS)
    raise ModelError(
        f"source {wanted.name!r} is of the kind {wanted.kind!r}, which this worker does not know: "
        f"it knows {known}"
    )
