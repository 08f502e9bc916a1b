"""What a few rows say about a run before it is made: agreement, sparsity, memory, time."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from consumers.activations.torch_engine import TorchEngine
from consumers.models.agreement import hook_widths, published_gap, with_forward
from consumers.models.hook_names import hook_named
from consumers.models.language_model import LanguageModel
from consumers.models.model import Model
from consumers.run_clusters import activity_of
from consumers.runs.number_costs import NumberCost, number_costs
from consumers.runs.state_size import Density, density_of, state_bytes
from consumers.selection.selection import cluster_activity, valid_tokens
from consumers.tuning.tuning_memory import memory_of
from consumers.tuning.tuning_run import with_micro_batch
from streams.arrays import F32, Bool
from streams.errors import ModelError, RunError
from streams.records.corpus import TokenBatch

log = logging.getLogger(__name__)

# Dense [token, component] arrays exist here, so that few tokens are enough: 64 MB each.
_VALUES = 2**24


@dataclass(frozen=True, slots=True)
class SourceChecked:
    """A source on the sample.

    encode_gap: how far its values are from its own ``encode`` (SAELens' for a dictionary), relative
    to the largest. per_token: components that fire per valid token; published: what the dictionary
    says it should be. explained: share of the variance that its reconstruction has of the hook that
    it is for, None where that cannot be told. writes: that hook if it is not the one read.
    dataset: what it was trained on, as it says.
    """

    name: str
    kind: str
    hook: str
    width: int
    components: int
    encode_gap: float
    per_token: float
    published: float | None
    explained: float | None
    writes: str | None
    dataset: str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What was measured on ``tokens`` valid tokens of ``rows`` rows.

    forward_gap: how far the forward is from the published code, relative to the values, and where;
    None if that could not be run. micro_batch_gap: how far the chosen micro-batch is from 1,
    relative to the largest activation. rate: tokens per second. memory: largest use, bytes.
    state: what the aggregators will hold together when their tables are full, about, bytes. costs:
    what of that, and of the bus, is due to each number that could be left out.
    """

    rows: int
    tokens: int
    forward_gap: tuple[float, str] | None
    micro_batch_gap: float
    rate: float
    memory: int
    state: int
    costs: tuple[NumberCost, ...]
    sources: tuple[SourceChecked, ...]


def check_engine(
    engine: TorchEngine, sample: TokenBatch, corpus_rows: int | None = None
) -> Checked:
    """Return what the first rows of a sample say about an engine and its run.

    corpus_rows: how many the corpus has, None if that is not known yet. Raises RunError if no
    token of the first rows is valid, and what computing raises.
    """
    plan = engine.plan
    context = sample.ids.shape[1]
    rows = max(1, min(len(sample.ids), _VALUES // (context * plan.components)))
    batch = sample.first_rows(rows)
    valid = valid_tokens(plan, batch)
    if not valid.any():
        raise RunError("nothing can be checked: every token of the first rows is masked")
    # What is done once, at the first batch, is not timed.
    activity = cluster_activity(plan, batch, valid, engine.compute(batch, valid))
    found: list[F32] = []
    begun = time.perf_counter()
    memory = memory_of(engine.model.device).peak(lambda: found.append(_dense(engine, batch)))
    seconds = time.perf_counter() - begun
    alone = TorchEngine(with_micro_batch(plan, 1), engine.model, engine.sources)
    (values,) = found
    hooks = sorted({source.hook for source in engine.sources})
    hooked = _hooked(engine, engine.model, batch, hooks) | _written(engine, batch)
    tokens = torch.from_numpy(valid).to(engine.model.device)
    first = plan.component_first.tolist()
    sources = [
        _source(engine, number, values[:, first[number] :][:, : source.components], hooked, tokens)
        for number, source in enumerate(engine.sources)
    ]
    return Checked(
        rows=rows,
        tokens=int(valid.sum()),
        forward_gap=published_gap(_published(engine.model), hooks, context),
        micro_batch_gap=_gap(_dense(alone, batch), values),
        rate=int(valid.sum()) / max(seconds, 1e-9),
        memory=memory,
        state=state_bytes(plan, _density(engine, valid, values), corpus_rows),
        costs=number_costs(plan, activity, corpus_rows),
        sources=tuple(sources),
    )


def _dense(engine: TorchEngine, batch: TokenBatch) -> F32:
    """Return the signed values [valid token, component] of a batch."""
    valid = valid_tokens(engine.plan, batch)
    number = np.full(valid.shape, -1)
    number[valid] = np.arange(valid.sum())
    activations = engine.compute(batch, valid)
    out = np.zeros((int(valid.sum()), engine.plan.components), np.float32)
    out[number[activations.row, activations.position], activations.component] = activations.value
    return out


def _density(engine: TorchEngine, valid: Bool, values: F32) -> Density:
    token, component = np.nonzero(values)
    fires = np.zeros(values.shape, np.bool_)
    fires[token, component] = activity_of(engine.plan, component, values[token, component])[1]
    return density_of(fires, np.nonzero(valid)[0])


def _hooked(
    engine: TorchEngine, model: Model, batch: TokenBatch, hooks: Sequence[str]
) -> dict[str, Tensor]:
    """Return [row, position, width] of each hook, by micro-batches as the engine computes them."""
    size = engine.plan.run.model.micro_batch
    ids = torch.from_numpy(batch.ids.astype(np.int64)).to(model.device)
    parts = [model.run(part, hooks) for part in torch.split(ids, size)]
    return {name: torch.cat([part[name] for part in parts]).flatten(2) for name in hooks}


def _written(engine: TorchEngine, batch: TokenBatch) -> dict[str, Tensor]:
    """Return [row, position, width] of what transcoders are for, as far as it can be read.

    The run itself does not read there, so that its forward need not give it: one is chosen anew.
    """
    found: dict[str, Tensor] = {}
    plain = replace(_published(engine.model), twin=None)
    for source in engine.sources:
        if (name := source.training.writes) is None or source.rebuild is None:
            continue
        try:
            hook = hook_named(name, plain)
            hook_widths(plain, [hook])
            model = with_forward(plain, [hook], "auto", batch.ids.shape[1])
            found[name] = _hooked(engine, model, batch, [hook])[hook]
        except ModelError as error:
            log.warning("what %s is for cannot be read: %s", source.name, error)
    return found


def _published(model: Model) -> LanguageModel:
    """Return the model as one whose published code is at hand."""
    if not isinstance(model, LanguageModel):
        raise RunError(f"{model.location} has no published code that it could be compared with")
    return model


def _source(
    engine: TorchEngine, number: int, values: F32, hooked: dict[str, Tensor], valid: Tensor
) -> SourceChecked:
    source, plan = engine.sources[number], engine.plan
    read = hooked[source.hook]
    with torch.inference_mode():
        given = read if source.whole_rows else read[valid]
        encoded = source.dense.at(given, valid if source.whole_rows else None)
        target = hooked.get(source.training.writes or source.hook)
        explained = None
        if source.rebuild is not None and target is not None:
            rebuilt = source.rebuild(read[valid], encoded)
            if rebuilt.shape[-1] == target.shape[-1]:
                explained = _explained(target[valid].float(), rebuilt.float())
    expected = encoded.float().cpu().numpy().copy()
    expected[:, list(plan.run.sources[number].dropped)] = 0
    token, component = np.nonzero(values)
    first = plan.component_first[number]
    _, fires = activity_of(plan, component + first, values[token, component])
    return SourceChecked(
        name=source.name,
        kind=source.kind,
        hook=source.hook,
        width=source.width,
        components=source.components,
        encode_gap=_gap(expected, values),
        per_token=float(fires.sum() / len(values)),
        published=source.training.sparsity,
        explained=explained,
        writes=source.training.writes,
        dataset=source.training.dataset,
    )


def _gap(expected: F32, found: F32) -> float:
    largest = float(np.abs(expected).max(initial=0.0))
    return float(np.abs(expected - found).max(initial=0.0)) / max(largest, 1e-30)


def _explained(values: Tensor, rebuilt: Tensor) -> float:
    """Return the share of variance of [token, width] that a reconstruction has."""
    around = (values - values.mean(0)).square().sum()
    return float(1 - (values - rebuilt).square().sum() / around.clamp_min(1e-30))
