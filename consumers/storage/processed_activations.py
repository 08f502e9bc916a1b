"""ProcessedActivations: components of all modules side by side, labelled, without dead ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ProcessedActivations:
    """activations: [sample, component], the components that are alive, labelled ``module:index``.

    activations_raw: by module, as given. dead_components_lst: labels of those left out, None if
    nobody looked.
    """

    activations_raw: Mapping[str, Tensor]
    activations: Tensor
    labels: list[str]
    dead_components_lst: list[str] | None

    @property
    def n_components_alive(self) -> int:
        """Components that are kept."""
        return len(self.labels)

    @property
    def n_components_dead(self) -> int:
        """Components that are left out."""
        return len(self.dead_components_lst or ())

    @property
    def n_components_original(self) -> int:
        """Both together."""
        return self.n_components_alive + self.n_components_dead

    @cached_property
    def label_index(self) -> Mapping[str, int | None]:
        """The column of each component by its label, None for a dead one."""
        alive: dict[str, int | None] = {label: at for at, label in enumerate(self.labels)}
        return {**dict.fromkeys(self.dead_components_lst or ()), **alive}

    def get_label_index(self, label: str) -> int | None:
        """Return the column of a component, None if it is dead; KeyError if there is none."""
        return self.label_index[label]


def process_activations(
    activations: Mapping[str, Tensor],
    filter_dead_threshold: float = 0.01,
    seq_mode: Literal["concat", "seq_mean"] | None = None,
) -> ProcessedActivations:
    """Return activations by module as one array.

    activations: [sample, component], or [row, position, component] with a ``seq_mode``: "concat"
    takes each token for a sample, "seq_mean" the mean of each row. filter_dead_threshold: a
    component that reaches it at no sample is left out, none if it is 0. Raises ValueError for
    other shapes.
    """
    if not activations:
        raise ValueError("there is no module with activations")
    parts = {name: _samples(name, values, seq_mode) for name, values in activations.items()}
    labels = [f"{name}:{at}" for name, part in parts.items() for at in range(part.shape[1])]
    joined = torch.cat(list(parts.values()), dim=1)
    if filter_dead_threshold <= 0:
        return ProcessedActivations(activations, joined, labels, None)
    alive = (joined >= filter_dead_threshold).any(dim=0)
    kept = alive.tolist()
    return ProcessedActivations(
        activations,
        joined[:, alive],
        [label for label, is_kept in zip(labels, kept, strict=True) if is_kept],
        [label for label, is_kept in zip(labels, kept, strict=True) if not is_kept],
    )


def _samples(name: str, values: Tensor, seq_mode: str | None) -> Tensor:
    """Return [sample, component] of one module."""
    if values.ndim != (2 if seq_mode is None else 3):
        raise ValueError(
            f"activations of {name} have the shape {list(values.shape)}, which seq_mode "
            f"{seq_mode!r} does not take"
        )
    if seq_mode is None:
        return values
    return values.flatten(0, 1) if seq_mode == "concat" else values.mean(dim=1)
