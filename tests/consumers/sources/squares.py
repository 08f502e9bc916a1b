"""Squares of a hook's values: a kind of source, and the encoder that computes it on a processor."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from consumers.encoders.encoder import EncoderKind
from consumers.encoders.forms import Numerics
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.timings import Timings
from consumers.sources.source import LoadedSource, OpenedSource, WantedSource
from streams.arrays import Bool
from streams.errors import NotFiniteError


@dataclass(frozen=True)
class SquaresForm:
    """The arithmetic: component i is the square of value i, in float32."""

    def values(self, hooked: Tensor) -> Tensor:
        """Return components [token, component] of hook values [token, width]."""
        return hooked.float().square()

    def under(self, numerics: Numerics) -> "SquaresForm":
        """Return the form itself: nothing is multiplied, so that no run computes it otherwise."""
        return self


class CpuSquares:
    """The encoder: some components at a time, so that no [token, component] array exists."""

    def __init__(self, source: str, form: SquaresForm, kept: Bool) -> None:
        self.source, self.form, self.kept = source, form, kept

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return what is not 0, by component and then by token."""
        start = time.perf_counter()
        count, token, value = np.zeros(len(self.kept), np.int64), [], []
        for first in range(0, len(count), 64):
            part = self.form.values(hooked[:, first : first + 64]).T.numpy()
            part = np.where(self.kept[first : first + 64, None], part, 0)
            component, tokens = np.nonzero(part)
            count[first : first + 64] = np.bincount(component, minlength=len(part))
            token.append(tokens.astype(np.int32))
            value.append(part[component, tokens])
        found = NonZeros(count, np.concatenate(token), np.concatenate(value))
        if not np.isfinite(found.value).all():
            raise NotFiniteError(f"source {self.source}")
        timings.encode += time.perf_counter() - start
        return found


ENCODER = EncoderKind(SquaresForm, "cpu", lambda job, form: CpuSquares(job.source, form, job.kept))


class Squares:
    """The kind of source: how settings and run records become components."""

    name = "squares"

    def open(self, wanted: WantedSource, device: torch.device) -> OpenedSource:
        """Return the squares of a hook's values; nothing has to be read from anywhere."""
        hook, form = str(wanted.hook), SquaresForm()

        def of_width(width: int) -> LoadedSource:
            return LoadedSource(
                wanted.name, self.name, "", "", hook, width, width, encode=form.values, form=form
            )

        return OpenedSource(hook, of_width)
