"""Causal importances as SPD defines them: a gate for each component, then a hard sigmoid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import gelu

from consumers.encoders.forms import Numerics

# Numbers held at once between two layers of gates: 8 MiB of float32.
NUMBERS = 2**21


@dataclass(frozen=True, slots=True, eq=False)
class GateLayer:
    """A layer of gates, float32.

    weight: [component, in, out] where each component has a network of its own, [in, out] where they
    share one. bias: [component, out] or [out].
    """

    weight: Tensor
    bias: Tensor


class Gates(Protocol):
    """The networks that say how much a component matters at a token."""

    @property
    def widest(self) -> int:
        """How many numbers one component takes at one token."""

    def prepare(self, hooked: Tensor) -> Tensor:
        """Return what all components need of hook values [token, width]."""

    def part(self, prepared: Tensor, first: int, stop: int) -> Tensor:
        """Return the gates [component, token] of the components first to stop - 1."""


@dataclass(frozen=True, slots=True, eq=False)
class InnerGates:
    """A network per component that reads the component's own activation ``x @ V``.

    directions: V as [component, width].
    """

    directions: Tensor
    layers: tuple[GateLayer, ...]

    @property
    def widest(self) -> int:
        """See ``Gates``."""
        return _widest(self.layers)

    def prepare(self, hooked: Tensor) -> Tensor:
        """Return the values [width, token] in float32."""
        return hooked.float().T

    def part(self, prepared: Tensor, first: int, stop: int) -> Tensor:
        """See ``Gates``."""
        inner = self.directions[first:stop] @ prepared
        return _through(inner[:, :, None], self.layers, first, stop)


@dataclass(frozen=True, slots=True, eq=False)
class VectorGates:
    """A network per component that reads the hook's whole value x."""

    layers: tuple[GateLayer, ...]

    @property
    def widest(self) -> int:
        """See ``Gates``."""
        return _widest(self.layers)

    def prepare(self, hooked: Tensor) -> Tensor:
        """Return the values [token, width] in float32."""
        return hooked.float()

    def part(self, prepared: Tensor, first: int, stop: int) -> Tensor:
        """See ``Gates``."""
        return _through(prepared.expand(stop - first, -1, -1), self.layers, first, stop)


@dataclass(frozen=True, slots=True, eq=False)
class SharedGates:
    """One network that reads the hook's whole value x and has an output per component."""

    layers: tuple[GateLayer, ...]

    @property
    def widest(self) -> int:
        """See ``Gates``."""
        return 1

    def prepare(self, hooked: Tensor) -> Tensor:
        """Return what the last layer reads, [in, token]."""
        hidden = hooked.float()
        for layer in self.layers[:-1]:
            hidden = gelu(torch.addmm(layer.bias, hidden, layer.weight))
        return hidden.T

    def part(self, prepared: Tensor, first: int, stop: int) -> Tensor:
        """See ``Gates``."""
        last = self.layers[-1]
        weight = last.weight[:, first:stop].T
        return torch.addmm(last.bias[first:stop, None], weight, prepared)


def _through(hidden: Tensor, layers: Sequence[GateLayer], first: int, stop: int) -> Tensor:
    """Return the gates [component, token] of what networks of their own read.

    hidden: [component, token, in].
    """
    for number, layer in enumerate(layers):
        read = gelu(hidden) if number else hidden
        bias, weight = layer.bias[first:stop, None], layer.weight[first:stop]
        hidden = torch.baddbmm(bias, read, weight)
    return hidden[:, :, 0]


def _widest(layers: Sequence[GateLayer]) -> int:
    return max(max(layer.weight.shape[1:]) for layer in layers)


def lower_leaky(gate: Tensor) -> Tensor:
    """Return the lower-leaky hard sigmoid: the gate, cut at 0 and 1; only its gradient leaks."""
    return gate.clamp(0, 1)


def upper_leaky(gate: Tensor) -> Tensor:
    """Return the upper-leaky hard sigmoid: 0 below 0, and a slope of 0.01 above 1."""
    return torch.where(gate > 1, 1 + 0.01 * (gate - 1), gate.clamp(0, 1))


def pre_sigmoid(gate: Tensor) -> Tensor:
    """Return the gate as it is: positive where the importance is, and negative otherwise."""
    return gate


Squash = Callable[[Tensor], Tensor]
SQUASHES: Mapping[str, Squash] = {
    "lower_leaky": lower_leaky,
    "upper_leaky": upper_leaky,
    "sigmoid": torch.sigmoid,
    "pre_sigmoid": pre_sigmoid,
}
"""What makes an importance of a gate, by the names of SPD's ``calc_causal_importances``."""


@dataclass(frozen=True, slots=True, eq=False)
class ImportanceForm:
    """Components that are the squashed gates of a decomposed layer, in float32."""

    gates: Gates
    squash: Squash
    components: int

    def under(self, numerics: Numerics) -> "ImportanceForm":
        """Return the form itself: gates are small numbers around 0, too fine for 8 bits."""
        del numerics
        return self

    def size(self, tokens: int, numbers: int | None = None) -> int:
        """Return how many components are computed at a time for so many tokens.

        numbers: held at once, None for what is best on processors.
        """
        held = NUMBERS if numbers is None else numbers
        return min(max(held // max(tokens * self.gates.widest, 1), 1), self.components)

    def part(self, prepared: Tensor, first: int, stop: int) -> Tensor:
        """Return the components first to stop - 1, [component, token], of prepared values.

        NaN where a gate is not finite, which a squash would hide.
        """
        gate = self.gates.part(prepared, first, stop)
        return torch.where(gate.isfinite(), self.squash(gate), torch.nan)

    def values(self, hooked: Tensor) -> Tensor:
        """Return components [token, component] of hook values [token, width], all at once."""
        prepared, size = self.gates.prepare(hooked), self.size(len(hooked))
        parts = [
            self.part(prepared, first, min(first + size, self.components))
            for first in range(0, self.components, size)
        ]
        return torch.cat(parts).T
