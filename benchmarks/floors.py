"""What the bare model costs: the floors that efficiency is a ratio to, on a few rows."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.bare import Bare
from benchmarks.candidates import MICRO_BATCH
from benchmarks.shapes import Built
from benchmarks.timing import Spread, interleaved, per
from streams.arrays import AnyArray

FLOOR = f"forward + sae.encode, {MICRO_BATCH} rows"
WIDE = "forward + sae.encode, 32 rows"
TIGHT = f"forward + addmm + relu_, {MICRO_BATCH} rows"


def floors(built: Built, bare: Bare, ids: AnyArray, rounds: int) -> dict[str, Spread]:
    """Return ms per row of the floors for ids [row, position], measured in turn."""
    tight = _tight(built)

    def with_tight() -> None:
        for first in range(0, len(ids), MICRO_BATCH):
            tight(bare.hooked(ids[first : first + MICRO_BATCH]))

    def forward_alone() -> None:
        for first in range(0, len(ids), MICRO_BATCH):
            bare.hooked(ids[first : first + MICRO_BATCH])

    seconds = interleaved(
        {
            FLOOR: lambda: bare.run(ids, MICRO_BATCH),
            WIDE: lambda: bare.run(ids, 32),
            TIGHT: with_tight,
            f"forward alone, {MICRO_BATCH} rows": forward_alone,
        },
        rounds,
    )
    return {name: per(spread, len(ids) / 1000) for name, spread in seconds.items()}


def _tight(built: Built) -> Any:
    """Return the least that a dense float32 encode takes: one product and an activation in place,
    with the decoder's bias folded into the encoder's."""
    from sae_lens import StandardSAE

    sae = StandardSAE.load_from_disk(built.dictionary)
    with torch.inference_mode():
        weights, bias = sae.W_enc.clone(), sae.b_enc - sae.b_dec @ sae.W_enc

    def encode(hooked: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.addmm(bias, hooked.flatten(0, 1), weights).relu_()

    return encode
