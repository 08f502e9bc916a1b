"""What an encoder is: it finds the non-zero components of a source on one kind of device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from consumers.encoders.buffer import Buffer
from consumers.encoders.forms import Form
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.timings import Timings
from streams.arrays import Bool

Device = Literal["cpu", "gpu"]
F = TypeVar("F", bound=Form)


class Encoder(Protocol):
    """Computes one source for a whole batch without an array [token, component] of all of it."""

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values [token, width] at the valid tokens of a batch.

        valid: for forms that read whole rows, which tokens [row, position] of hook values [row,
        position, width] count; None for all others. The same values give the same bits. Seconds and
        splits go to ``timings``. Raises NotFiniteError if a component that is not dropped is NaN or
        infinite, and the device's own error if memory runs out for the least possible piece.
        """


@dataclass(frozen=True, slots=True, eq=False)
class EncoderJob:
    """What an encoder is made for.

    source: name for errors. form: the arithmetic, as the run computes it. kept [component]: False
    for those that the settings drop. at_once: how many tokens the model reads at a time, or rows
    where the form reads whole rows. buffer: room that all encoders of an engine take in turn.
    """

    source: str
    form: Form
    kept: Bool
    device: torch.device
    at_once: int
    buffer: Buffer


@dataclass(frozen=True, slots=True)
class EncoderKind(Generic[F]):
    """An entry of the registry: which form it computes, on which device, and how one is made."""

    form: type[F]
    device: Device
    make: Callable[[EncoderJob, F], Encoder]

    def encoder(self, job: EncoderJob) -> Encoder:
        """Return an encoder for a job; raises TypeError for one of another form."""
        if not isinstance(job.form, self.form):
            raise TypeError(f"{self.form.__name__} on {self.device}, not {type(job.form).__name__}")
        return self.make(job, job.form)
