"""Tuning on a real model: trials with engines of each micro-batch, on rows of a sample."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from consumers.activations.torch_engine import TorchEngine
from consumers.models.out_of_memory import out_of_memory
from consumers.plan import Plan
from consumers.selection.selection import valid_tokens
from consumers.tuning.tuning import Effort, Measured, NoRoomError, Tuning, best
from consumers.tuning.tuning_memory import memory_of
from streams.errors import ModelError, NotFiniteError
from streams.records.corpus import CorpusRecord, TokenBatch

LEAST_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Advice:
    """What was measured with one dtype. refused: why it cannot be used, if it cannot."""

    dtype: str
    device: str
    threads: int
    measured: tuple[Measured, ...]
    refused: str = ""

    @property
    def best(self) -> Measured | None:
        """The size to take, None if there is none."""
        return best(self.measured)


def compare_dtypes(
    engines: Iterable[TorchEngine], sample: TokenBatch, rows: int, effort: Effort
) -> Iterator[Advice]:
    """Yield the advice for each engine, one per dtype, in the order in which they are made.

    Engines are dropped one by one: memory is that of a run with each.
    """
    for engine in engines:
        model = engine.plan.run.model
        advice = Advice(model.dtype, str(engine.model.device), model.threads, ())
        try:
            measured = measure_engine(engine, sample, rows, effort)
        except NotFiniteError as error:
            yield replace(advice, refused=str(error))
            continue
        finally:
            del engine
            _release()
        yield replace(advice, measured=measured)


def chosen_micro_batch(engine: TorchEngine, sample: TokenBatch, rows: int, effort: Effort) -> int:
    """Return the micro-batch that is best for an engine's model, sources, device and dtype.

    rows: of the batches that it will compute. Raises ModelError if not one row fits the memory, or
    if what is computed on the sample is not finite.
    """
    try:
        found = best(measure_engine(engine, sample, rows, effort))
    except NotFiniteError as error:
        raise ModelError(f"no micro-batch can be chosen: {error}; set model.micro_batch") from error
    if found is None:
        raise ModelError(f"not even one row of {engine.plan.run.context} tokens fits the memory")
    return found.micro_batch


def measure_engine(
    engine: TorchEngine, sample: TokenBatch, rows: int, effort: Effort
) -> tuple[Measured, ...]:
    """Return the measurements of an engine's model and sources, for batches of ``rows`` rows."""
    batch = filled(sample, rows)
    context = batch.ids.shape[1]
    width = sum({source.hook: source.width for source in engine.sources}.values())
    tuning = Tuning(
        trial=lambda size: _trial(engine, batch, size),
        memory=memory_of(engine.model.device),
        clock=time.perf_counter,
        effort=effort,
        row_bytes=4 * context * width,
    )
    return tuning.measure(rows)


def filled(sample: TokenBatch, rows: int) -> TokenBatch:
    """Return a batch of ``rows`` full rows: the sample's rows in turn, each repeating its tokens.

    Every row then costs the same, so that sizes that take different rows can be compared.
    """
    lengths = sample.mask.sum(axis=1)
    places = np.resize(np.flatnonzero(lengths), rows)
    at = np.arange(sample.ids.shape[1]) % lengths[places][:, None]
    return replace(
        sample,
        ids=sample.ids[places[:, None], at],
        mask=np.ones(at.shape, bool),
        keys=sample.keys[places],
        documents=("",) * rows,
        domains=("",) * rows,
    )


def random_sample(corpus: CorpusRecord, rows: int) -> TokenBatch:
    """Return rows of random token ids, always the same, where there is no text to take."""
    allowed = np.setdiff1d(np.arange(corpus.vocabulary), corpus.special_ids)
    ids = np.random.default_rng(0).choice(allowed, (rows, corpus.context)).astype(np.uint32)
    names = ("",) * rows
    keys = np.zeros((rows, 16), np.uint8)
    return TokenBatch(corpus.name, 0, 0, ids, np.ones(ids.shape, bool), keys, names, names)


def with_micro_batch(plan: Plan, size: int) -> Plan:
    """Return a plan to compute with; all but the rows per forward stays."""
    run = replace(plan.run, model=replace(plan.run.model, micro_batch=size))
    return replace(plan, run=run)


def _trial(engine: TorchEngine, batch: TokenBatch, size: int) -> Callable[[], int]:
    """Return what computes forwards of ``size`` rows, enough that a batch's own cost is small."""
    trial = TorchEngine(with_micro_batch(engine.plan, size), engine.model, engine.sources)
    rows, context = (int(length) for length in batch.ids.shape)
    least = -(-LEAST_TOKENS // (context * size))
    taken = size * max(1, min(least, rows // size))
    part = replace(batch, ids=batch.ids[:taken], mask=batch.mask[:taken])
    valid = valid_tokens(engine.plan, batch)[:taken]

    def compute() -> int:
        try:
            trial.compute(part, valid)
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error):
                raise NoRoomError from error
            raise
        if trial.timings.splits:
            raise NoRoomError
        return taken * context

    return compute


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
