"""From a run record to an engine: model and sources, loaded and held against the record."""

import logging
from collections.abc import Collection, Sequence

import torch

from consumers.activations.device_operations import lacks
from consumers.activations.torch_engine import TorchEngine
from consumers.models.agreement import hook_widths, with_forward
from consumers.models.devices import pick_device, this_machine
from consumers.models.hook_names import hook_named
from consumers.models.language_model import LanguageModel
from consumers.models.loading import load_model, processing_of
from consumers.models.tf32 import set_tf32, without_effect
from consumers.plan import Plan
from consumers.sources.registry import open_source
from consumers.sources.source import LoadedSource, WantedSource
from streams.errors import ChangedPartError
from streams.records.runs import RunRecord

log = logging.getLogger(__name__)


def load_engine(
    plan: Plan, device: str = "auto", trusted: Collection[str] = frozenset()
) -> TorchEngine:
    """Return the engine of a run, built from its record alone.

    trusted: locations of sources whose code may be run, from the settings of this process.
    Raises ChangedPartError if the model or a dictionary is not the one that the run was created
    with, and ModelError if one cannot be loaded here.
    """
    run = plan.run
    wanted = [
        WantedSource(s.name, s.kind, s.location, s.hook, s.location in trusted) for s in run.sources
    ]
    place = pick_device(device)
    say_lacks(run, place)
    model, loaded = load_parts(wanted, run.model.location, place, run.model.dtype)
    for source, found in zip(run.sources, loaded, strict=True):
        if (found.content, found.components) != (source.content, source.components):
            what = f"{source.kind} {source.name!r} ({source.location})"
            raise ChangedPartError(what, f"run {run.name}")
    if model.content() != run.model.content:
        raise ChangedPartError(f"model {run.model.location}", f"run {run.name}")
    hooks = sorted({source.hook for source in loaded})
    model = with_forward(model, hooks, run.model.forward, run.context)
    return TorchEngine(plan, model, loaded)


def load_parts(
    wanted: Sequence[WantedSource], location: str, device: torch.device, dtype: str
) -> tuple[LanguageModel, list[LoadedSource]]:
    """Return the model, with the processing that the dictionaries ask for, and the sources."""
    set_tf32(False)  # what is compared while a model is loaded is compared exactly
    opened = [open_source(one, device) for one in wanted]
    wishes = {
        one.name: source.wishes
        for one, source in zip(wanted, opened, strict=True)
        if source.wishes is not None
    }
    model = load_model(location, str(device), dtype, processing_of(wishes))
    hooks = [hook_named(source.hook, model) for source in opened]
    widths = hook_widths(model, hooks)
    loaded = [
        source.of_width(widths[hook]).read_at(hook, widths[hook], model.location)
        for source, hook in zip(opened, hooks, strict=True)
    ]
    return model, loaded


def say_lacks(run: RunRecord, device: torch.device) -> None:
    """Say what a device lacks of what a run asks for, and of what a selection there needs."""
    if missing := lacks(device):
        log.warning(
            "%s lacks %s: selection happens on the processor, which is slower",
            device.type,
            ", ".join(missing),
        )
    if run.model.tf32 and (why := without_effect(device, this_machine())):
        log.warning(
            "run %s asks for TF32, and %s: this worker multiplies float32 exactly, so that its "
            "last bits are not those of workers with TF32",
            run.name,
            why,
        )
