"""Forms of encoders: the arithmetic of a source, whatever device computes it and however.

Dense [token, component] arrays cost more than the product that fills them. A linear form, or the k
largest of one, can be computed some components at a time instead: a few hundred components for all
tokens of a batch, component by token, read while they lie in the cache.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from consumers.encoders.products import (
    Multiply,
    Products,
    packed_products,
    plain_products,
    transposed,
)
from consumers.encoders.rules import Rule
from consumers.models.packing import multiplies

# A bias that stays finite in bfloat16.
_SAFE = 1e38


@dataclass(frozen=True, slots=True)
class Numerics:
    """How a run computes products. narrow: in bfloat16. onednn: by oneDNN, on processors."""

    narrow: bool = False
    onednn: bool = False


class Form(Protocol):
    """What an encoder computes; a kind of its own has a file in the folder of each device."""

    def values(self, hooked: Tensor) -> Tensor:
        """Return components [token, component] of hook values [token, width], all at once.

        This is what each encoder of the form is held against.
        """

    def under(self, numerics: Numerics) -> "Form":
        """Return the form as a run computes it, itself where that is no question."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearForm:
    """Components as products of a prepared hook value, or as the hook value itself.

    prepare: hook values [token, width] -> what is multiplied, in the dtype of ``weight``. weight:
    [component, width], None for the values themselves. rule: None keeps products, signed.
    multiply: who multiplies weight and prepared values.
    """

    prepare: Callable[[Tensor], Tensor]
    weight: Tensor | None = None
    rule: Rule | None = None
    multiply: Multiply = plain_products

    def products(self, prepared: Tensor) -> Products:
        """Return what gives the products with prepared values, some components at a time.

        They have the dtype of ``weight``, float32 without one.
        """
        if self.weight is None:
            return transposed(prepared)
        return self.multiply(self.weight, prepared)

    def under(self, numerics: Numerics) -> "LinearForm":
        """Return the form with its products as a run computes them."""
        form = self.in_bfloat16() if numerics.narrow else self
        return form.by_onednn() if numerics.onednn else form

    def by_onednn(self) -> "LinearForm":
        """Return the form with its products computed by oneDNN: other last bits, in less time.

        The form itself for dtypes that it does not multiply well on this processor.
        """
        if self.weight is None or not multiplies(self.weight.dtype):
            return self
        return replace(self, multiply=packed_products)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of products."""
        return torch.float32 if self.weight is None else self.weight.dtype

    def values(self, hooked: Tensor) -> Tensor:
        """Return components [token, component] of hook values [token, width], all at once."""
        prepared = self.prepare(hooked)
        if self.weight is None:
            return prepared
        room = prepared.new_empty((len(self.weight), len(prepared)), dtype=self.dtype)
        product = self.products(prepared)(0, len(self.weight), room).float()
        return (product if self.rule is None else self.rule.values(product)).T

    def in_bfloat16(self) -> "LinearForm":
        """Return the form with its product, not its preparation and rule, in bfloat16.

        Weights and prepared values are rounded to 8 bits. The bias is added inside the product, in
        two columns that carry 16 bits of it, since the sum is kept in float32 and rounded once:
        what remains of a large product and a large negative bias is exact to 8 bits itself. On
        random dictionaries of 16,384 x 768 and 4,096 x 256 with 57 components to a token, values
        were off by 0.0019 in the mean square, 0.012 at most and 3.7 at the largest value; 0.35 % of
        the non-zeros, all of them small, appeared or vanished. The form itself if it has no rule,
        as neurons and weight components.
        """
        if self.weight is None or self.rule is None:
            return self
        gate, scale, prepare = self.rule.gate, self.rule.scale, self.prepare
        high = gate.clamp(-_SAFE, _SAFE).bfloat16()
        low = (gate.clamp(-_SAFE, _SAFE) - high.float()).bfloat16()
        shift = self.rule.shift - (high.float() + low.float()) * scale
        # What the two columns leave of the bias decides about no sign: then no component can fire
        # below 0, and the search may skip blocks of tokens for all of them.
        rule = replace(self.rule, shift=shift, gate=torch.zeros_like(gate))
        bias = torch.stack([high, low], dim=1)
        weight = torch.cat([self.weight.bfloat16(), bias], dim=1)

        def prepared(hooked: Tensor) -> Tensor:
            narrow = prepare(hooked)
            return torch.cat([narrow.bfloat16(), bias.new_ones(len(narrow), 2)], dim=1)

        return replace(self, prepare=prepared, weight=weight, rule=rule)


@dataclass(frozen=True, slots=True, eq=False)
class TopKForm:
    """Components that are the k largest values of a token, as far as these are positive.

    linear: products without a rule, in float32. The value is ``(product + shift) * scale``, rounded
    after each step; both float32 [component]. Of equal values the lower component is the larger.
    """

    linear: LinearForm
    shift: Tensor
    scale: Tensor
    k: int

    def under(self, numerics: Numerics) -> "TopKForm":
        """Return the form with its products as a run computes them, in float32 whatever it says.

        In bfloat16 a value has 8 bits, so that several are equal at the k-th place.
        """
        return replace(self, linear=self.linear.under(replace(numerics, narrow=False)))

    def values(self, hooked: Tensor) -> Tensor:
        """Return components [token, component] of hook values [token, width], all at once."""
        value = (self.linear.values(hooked) + self.shift) * self.scale
        order = value.sort(dim=1, descending=True, stable=True).indices[:, : self.k]
        return torch.zeros_like(value).scatter(1, order, value.gather(1, order).relu())


@dataclass(frozen=True, slots=True, eq=False)
class DenseForm:
    """Components that only a function knows: [token, width] -> [token, component].

    whole_rows: it takes [row, position, width] and gives [row, position, component] instead, since
    a component depends on earlier positions of its row.
    """

    encode: Callable[[Tensor], Tensor]
    whole_rows: bool = False

    def under(self, numerics: Numerics) -> "DenseForm":
        """Return the form itself: nobody may change how the function computes."""
        del numerics
        return self

    def values(self, hooked: Tensor) -> Tensor:
        """Return components of hook values, all at once."""
        return self.encode(hooked)

    def at(self, hooked: Tensor, valid: Tensor | None) -> Tensor:
        """Return components [token, component] of hook values [token, width].

        With ``valid`` [row, position] those of its tokens, row by row, from [row, position, width].
        """
        found = self.encode(hooked)
        return found if valid is None else found[valid]
