"""Which forward a model gets: one that agrees with the published code, transformers' eager one."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from consumers.models.forwards import Twin
from consumers.models.language_model import LanguageModel, one_line
from consumers.models.published import difference
from consumers.models.tolerances import TOLERANCE
from consumers.models.twins import NoTwinError, make_eager_twin, make_packed_twin, make_twin
from streams.errors import ModelError
from streams.records.runs import Forward

log = logging.getLogger(__name__)

Maker = Callable[[Any, Sequence[str]], Twin]
# The fastest first; the last one is the reference itself.
_MAKERS: Mapping[Forward, Maker] = {
    "transformers-onednn": make_packed_twin,
    "transformers": make_twin,
    "transformers-eager": make_eager_twin,
}

_BLOCK = re.compile(r"blocks\.(\d+)\.")
_BLOCK_OUT = re.compile(r"blocks\.(\d+)\.hook_out")


def hook_widths(model: LanguageModel, hooks: Sequence[str]) -> dict[str, int]:
    """Return how many values each hook has per token; errors as in ``LanguageModel.widths``.

    Where transformer-lens' own forward cannot run, or does not fire a hook, transformers' is read.
    """
    try:
        return model.widths(hooks)
    except ModelError:
        try:
            return replace(model, twin=make_eager_twin(model.net, hooks)).widths(hooks)
        except (NoTwinError, ModelError) as error:
            log.info("Hooks cannot be read in transformers' own model, either: %s", error)
        raise


def with_forward(
    model: LanguageModel, hooks: Sequence[str], wanted: Forward | Literal["auto"], context: int
) -> LanguageModel:
    """Return the model with the forward that is wanted for these hooks.

    "auto" takes the fastest that agrees with the published code at the hooks, and transformer-lens'
    own only where transformers' modules cannot be read there; ``reason`` says why it is none of the
    usual. context: the longest rows that will be read, tokens. Raises ModelError if what is wanted
    cannot be used, or if nothing that is right can be read at a hook.
    """
    if not hooks:
        return model
    context = min(context, model.context)
    wanted = forward_on(model.device, wanted)
    try:
        reference = _reference(model, hooks)
        off = _off(model, reference, hooks, wanted, context)
    except NoTwinError as error:
        return _unread(model, hooks, wanted, context, str(error))
    if wanted == "transformer-lens":
        return _noted(model, f"{off}; its values are taken, as the settings want it" if off else "")
    if wanted != "auto":
        try:
            found = _twinned(model, reference, wanted, hooks, context)
        except NoTwinError as error:
            raise _refused(model, wanted, str(error)) from error
        return _noted(found, f"{off}; the published values are taken" if off else "")
    found, fused = _fastest(model, reference, hooks, context)
    reasons = [f"{off}; the published values are taken"] if off else []
    reasons += [f"fused attention is not used: {fused}"] if fused else []
    return _noted(found, "; ".join(reasons))


def _off(
    model: LanguageModel,
    reference: LanguageModel,
    hooks: Sequence[str],
    wanted: Forward | Literal["auto"],
    context: int,
) -> str:
    """Return what is wrong with transformer-lens' own forward at the hooks; "" if nothing is.

    Raises NoTwinError if it is right, but the reference gives something else at a hook, and
    ModelError if it is wanted and cannot run.
    """
    try:
        gap, at = _largest_gap(reference, model, hooks, context)
    except NoTwinError as error:
        if wanted == "transformer-lens":
            raise _refused(model, wanted, str(error)) from error
        return f"transformer-lens' own forward is not used: {error}"
    if gap <= TOLERANCE[model.dtype]:
        return ""
    if not (block := _off_after_blocks(model, hooks, context)):
        raise NoTwinError(
            f"transformers' module gives something else there than {at} ({gap:.1e} away)"
        )
    return (
        f"transformer-lens differs from transformers' own eager forward by {gap:.1e} at {at} of "
        f"{model.location} ({block})"
    )


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

    Raises NoTwinError if a difference is beyond the tolerance or the other model cannot run.
    """
    gap, name = _largest_gap(model, other, hooks, context)
    if not gap <= TOLERANCE[model.dtype]:  # NaN is no agreement
        raise NoTwinError(
            f"at {name} it differs by {gap:.1e} of the values, more than "
            f"{TOLERANCE[model.dtype]:.0e}"
        )
    return f"{gap:.1e} at {name}" if gap else ""


def published_gap(
    model: LanguageModel, hooks: Sequence[str], context: int
) -> tuple[float, str] | None:
    """Return how far a model's forward is from the published code, and at which hook.

    None where that cannot be read at the hooks.
    """
    try:
        reference = _reference(model, hooks)
    except NoTwinError:
        return None
    return _largest_gap(reference, model, hooks, min(context, model.context))


def _largest_gap(
    model: LanguageModel, other: LanguageModel, hooks: Sequence[str], context: int
) -> tuple[float, str]:
    """Return the largest difference at a hook, and the hook.

    Two rows as long as ``context`` and three short ones are read, of token ids by chance. The model
    reads all of them first: the other one may not live on what the model has just seen. Raises
    NoTwinError if the other model cannot run.
    """
    texts = list[Tensor]()
    for rows, length in ((2, context), (3, min(5, context))):
        chance = torch.Generator().manual_seed(length)
        ids = torch.randint(model.vocabulary, (rows, length), generator=chance)
        texts.append(ids.to(model.device))
    worst = (0.0, hooks[0])
    for ids, expected in [(ids, model.run(ids, hooks)) for ids in texts]:
        try:
            found = other.run(ids, hooks)
        except Exception as error:  # whatever a model's own code raises, the person gets one line
            raise NoTwinError(f"it cannot run: {one_line(error)}") from error
        for name in hooks:
            gap = difference(expected[name], found[name])
            if not gap <= worst[0]:  # NaN is the worst
                worst = (gap, name)
            if gap != gap:
                return worst
    return worst


def _reference(model: LanguageModel, hooks: Sequence[str]) -> LanguageModel:
    """Return the model computed by transformers' own eager code.

    Raises NoTwinError where that cannot be had for the hooks, or is not what was published.
    """
    if model.processed and model.dtype != torch.float32:
        raise NoTwinError("weights that a dictionary wants processed are compared in float32 only")
    reference = replace(model, twin=make_eager_twin(model.net, hooks))
    if model.fidelity and not (gap := max(model.fidelity.twin)) <= TOLERANCE[model.dtype]:
        raise NoTwinError(
            f"transformer-lens changed the weights, with which transformers is {gap:.1e} off what "
            "was published"
        )
    return reference


def _off_after_blocks(model: LanguageModel, hooks: Sequence[str], context: int) -> str:
    """Return how far transformer-lens is off after the blocks that the hooks need; "" if it is not.

    Where no reference can be read there, it is what was found when the model was loaded.
    """
    last = max((_block(name) for name in hooks), default=-1)
    outs = [n for n in model.hooks if (m := _BLOCK_OUT.fullmatch(n)) and int(m[1]) <= last]
    tolerance = TOLERANCE[model.dtype]
    try:
        if outs:
            gap, at = _largest_gap(_reference(model, outs), model, outs, context)
            return "" if gap <= tolerance else f"{gap:.1e} at {at}"
    except (NoTwinError, ModelError) as error:
        log.info("Blocks cannot be compared on rows of %d tokens: %s", context, error)
    gaps = () if model.fidelity is None else model.fidelity.bridge[: last + 1]
    worst = max(gaps, default=0.0)
    return "" if worst <= tolerance else f"{worst:.1e} after block {gaps.index(worst)}"


def _block(name: str) -> int:
    """Return the number of the block that a hook needs last; a large one for what comes behind."""
    found = _BLOCK.match(name)
    return int(found[1]) if found else -1 if "embed" in name else 2**31


def _unread(
    model: LanguageModel,
    hooks: Sequence[str],
    wanted: Forward | Literal["auto"],
    context: int,
    why: str,
) -> LanguageModel:
    """Return the model with transformer-lens' own forward, where the published code gives no value.

    Raises ModelError if it is off there, unless the settings want it.
    """
    if wanted not in ("auto", "transformer-lens"):
        raise _refused(model, wanted, why)
    off = _off_after_blocks(model, hooks, context)
    if wanted == "transformer-lens":
        text = f"transformer-lens differs from transformers' own eager forward by {off}"
        return _noted(
            model, f"{text}; its values are taken, as the settings want it" if off else ""
        )
    if off:
        raise ModelError(
            f"{model.location}: {why}, and transformer-lens, which could give it, differs from "
            f"transformers' own eager forward by {off}; forward = 'transformer-lens' takes its "
            "values all the same"
        )
    log.warning("transformer-lens' own forward is used, which is slower: %s", why)
    compared = "" if model.fidelity else ", and was not compared with the published code"
    return _noted(model, f"transformer-lens computes it{compared}: {why}", bool(compared))


def _refused(model: LanguageModel, wanted: str, why: str) -> ModelError:
    others = "'auto'" if wanted == "transformer-lens" else "'auto' or 'transformer-lens'"
    return ModelError(
        f"{model.location} cannot be computed by {wanted} here, as the run wants it: "
        f"{why}; make a run with forward = {others}"
    )


def _noted(model: LanguageModel, reason: str, warn: bool = True) -> LanguageModel:
    """Return the model with the reason for its forward; one that changes values is a warning."""
    warnings = (*model.warnings, reason) if reason and warn else model.warnings
    return replace(model, reason=reason, warnings=warnings)


def _fastest(
    model: LanguageModel, reference: LanguageModel, hooks: Sequence[str], context: int
) -> tuple[LanguageModel, str]:
    """Return the model with the fastest forward that agrees, and why it is not a fused one."""
    why = ""
    for name in _MAKERS:
        try:
            return _twinned(model, reference, name, hooks, context), (
                why if name == "transformers-eager" else ""
            )
        except NoTwinError as error:
            why = str(error)
            log.info("%s does not compute the forward pass: %s", name, why)
    raise AssertionError("the reference agrees with itself")


def _twinned(
    model: LanguageModel,
    reference: LanguageModel,
    name: Forward,
    hooks: Sequence[str],
    context: int,
) -> LanguageModel:
    if name == "transformers-eager":
        return reference
    twinned = replace(model, twin=_MAKERS[name](model.net, hooks))
    log.info(
        "%s computes the forward pass; off transformers' own eager one by at most %s",
        twinned.forward,
        farthest(reference, twinned, hooks, context) or "nothing",
    )
    return twinned
