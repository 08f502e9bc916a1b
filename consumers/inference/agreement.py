"""Which forward a model gets: transformers', where it agrees with transformer-lens'."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from consumers.inference.forwards import Twin
from consumers.inference.models import LanguageModel, one_line
from consumers.inference.twins import NoTwinError, make_packed_twin, make_twin
from streams.errors import ModelError
from streams.runs import Forward

log = logging.getLogger(__name__)

Maker = Callable[[Any, Sequence[str]], Twin]
# The fastest first.
_MAKERS: Mapping[Forward, Maker] = {
    "transformers-onednn": make_packed_twin,
    "transformers": make_twin,
}

# What two orders of the same additions differ by, with room for models deeper than those measured
# (docs/numbers.md): single roundings of these types are 6e-8, 4e-3 and 5e-4 of a value.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}


def with_forward(
    model: LanguageModel, hooks: Sequence[str], wanted: Forward | Literal["auto"], context: int
) -> LanguageModel:
    """Return the model with the forward that is wanted for these hooks.

    "auto" tries the faster ones and says in the log why one is not used. context: the longest rows
    that will be read, tokens. Raises ModelError if one of transformers' is wanted and cannot be
    used.
    """
    if wanted == "transformer-lens" or not hooks:
        return model
    context = min(context, model.context)
    wanted = forward_on(model.device, wanted)
    if wanted != "auto":
        try:
            return _twinned(model, _MAKERS[wanted], hooks, context)
        except NoTwinError as error:
            raise ModelError(
                f"{model.location} cannot be computed by {wanted} here, as the run wants it: "
                f"{error}; make a run with forward = 'auto' or 'transformer-lens'"
            ) from error
    why = ""
    for name, make in _MAKERS.items():
        try:
            return _twinned(model, make, hooks, context)
        except NoTwinError as error:
            why = str(error)
            log.info("%s does not compute the forward pass: %s", name, why)
    log.warning("transformer-lens' own forward is used, which is slower: %s", why)
    return model


def forward_on(
    device: torch.device, wanted: Forward | Literal["auto"]
) -> Forward | Literal["auto"]:
    """Return what a device computes of the forward that is wanted.

    Weights are packed for processors; a run that was made on one is the same code without packing
    elsewhere, and is tried out like any other.
    """
    packed = wanted == "transformers-onednn"
    return "transformers" if packed and device.type != "cpu" else wanted


def farthest(model: LanguageModel, other: LanguageModel, hooks: Sequence[str], context: int) -> str:
    """Return the hook at which the models differ most, with the difference as text; "" if none.

    Raises NoTwinError if a difference is beyond the tolerance or the other model cannot run. Two
    rows as long as ``context`` and three short ones are read, of token ids by chance. The model
    reads all of them first: the other one may not live on what the model has just seen.
    """
    worst, texts = (0.0, ""), list[Tensor]()
    for rows, length in ((2, context), (3, min(5, context))):
        chance = torch.Generator().manual_seed(length)
        ids = torch.randint(model.vocabulary, (rows, length), generator=chance)
        texts.append(ids.to(model.device))
    for ids, expected in [(ids, model.run(ids, hooks)) for ids in texts]:
        try:
            found = other.run(ids, hooks)
        except Exception as error:  # whatever a model's own code raises, the person gets one line
            raise NoTwinError(f"transformers cannot run it: {one_line(error)}") from error
        for name in hooks:
            gap = difference(expected[name], found[name])
            if not gap <= TOLERANCE[model.dtype]:  # NaN is no agreement
                raise NoTwinError(
                    f"at {name} transformers differs from transformer-lens by {gap:.1e} of the "
                    f"values, more than {TOLERANCE[model.dtype]:.0e}"
                )
            worst = max(worst, (gap, name))
    return f"{worst[0]:.1e} at {worst[1]}" if worst[1] else ""


def difference(expected: Tensor, found: Tensor) -> float:
    """Return the largest distance between two vectors of a token, relative to their length.

    Both [row, position, ...]. Vectors shorter than the median count as if they had its length.
    Other shapes or types are infinitely different; NaN if one of the values is.
    """
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return float("inf")
    if not expected.is_floating_point():
        return 0.0 if torch.equal(expected, found) else float("inf")
    one, other = expected.flatten(2).float(), found.flatten(2).float()
    lengths = one.norm(dim=-1)
    scale = torch.maximum(lengths, lengths.median()).clamp_min(torch.finfo(torch.float32).tiny)
    return float(((one - other).norm(dim=-1) / scale).max())


def _twinned(
    model: LanguageModel, make: Maker, hooks: Sequence[str], context: int
) -> LanguageModel:
    if model.processed and model.dtype != torch.float32:
        raise NoTwinError("weights that a dictionary wants processed are compared in float32 only")
    twinned = replace(model, twin=make(model.net, hooks))
    log.info(
        "%s computes the forward pass; off transformer-lens' own by at most %s",
        twinned.forward,
        farthest(model, twinned, hooks, context) or "nothing",
    )
    return twinned
