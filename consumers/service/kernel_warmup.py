"""Kernel warm-up: compiled loops are loaded before there is any work for them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from consumers.activations.standin import StandInEngine
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan, make_plan
from consumers.selection.messages import Outgoing
from consumers.selection.worker import ActivationWorker
from consumers.statistics.registry import STATISTICS
from consumers.statistics.statistic import MeasuredStatistic
from streams import topics
from streams.record_headers import headers_of
from streams.records.corpus import TokenBatch, sample_keys
from streams.records.measures import Measure, measure, parameters_of
from streams.records.runs import Clustering, RunRecord, Source, with_parameters
from streams.wire import codec

_COMPONENTS, _ROWS, _BATCHES, _K = 8, 8, 3, 2


def warm_up(plan: Plan, *, aggregates: bool = True) -> None:
    """Take some made-up batches through all that a worker does with them, and forget the outcome.

    Otherwise the first batches wait for it, a third of a second with the code on disk and many
    without. The loops of the engine are not among them. aggregates: what becomes of the partials,
    too.
    """
    small = make_plan(_small(plan.run), plan.statistics, [given.ranking for given in plan.rankings])
    worker = ActivationWorker(small, StandInEngine(small, density=0.5))
    overlay = Overlay(small, least_pending=1)
    if aggregates:
        overlay.load(0, ())
    for offset, record in enumerate(_records(small, worker)):
        if aggregates:
            overlay.apply(0, offset, partial(small, 0, record.kind, record.value))
    if aggregates:
        overlay.states(0)
        list(overlay.flush())


def _records(plan: Plan, worker: ActivationWorker) -> Iterator[Outgoing]:
    for sequence in range(_BATCHES):
        headers = dict(headers_of(topics.BATCH, sequence))
        value = codec.encode(_batch(plan.run, sequence))
        yield from worker.handle(0, value, headers).records


def _small(run: RunRecord) -> RunRecord:
    """Return a run with all that runs may have, as small as can be."""
    source = Source("warm", "dictionary", "", "0", "warm", _COMPONENTS, coactivation=True)
    pairs = np.arange(_COMPONENTS, dtype=np.int32)
    sizes = np.full(_COMPONENTS // 2, 2, np.int32)
    labels = tuple(f"pair {number}" for number in range(len(sizes)))
    clustering = Clustering("warm", 0, "0", labels, sizes, np.zeros_like(pairs), pairs)
    small = with_parameters(run, k=min(_K, run.k), sum_bits=0)  # no made-up sum is too large
    return replace(
        small,
        statistics=tuple(map(_without_found, small.statistics)),
        partitions=1,
        sources=(source,),
        clusterings=(clustering,),
        shards=1,
        masked_ids=np.zeros(0, np.int64),
        masked_positions=np.zeros(0, np.int64),
        keep="nothing",
    )


def _without_found(given: Measure) -> Measure:
    """Return a statistic without the parameters that follow from the sources of its run."""
    for each in STATISTICS:
        if given.name in each.names and isinstance(each, MeasuredStatistic):
            chosen = parameters_of(given).items()
            return measure(given.name, **{k: v for k, v in chosen if k in each.parameters})
    return given


def _batch(run: RunRecord, sequence: int) -> TokenBatch:
    """Return a batch of rows that differ; the last has no token at its end."""
    shape = _ROWS, min(run.context, _ROWS)
    number = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape)
    ids = ((number + sequence) * 7 % run.model.vocabulary).astype(np.uint32)
    mask = np.ones(shape, np.bool_)
    mask[-1, -1] = False
    domains = ("", "warm") * (_ROWS // 2)
    return TokenBatch(
        run.corpus, 0, sequence, ids, mask, sample_keys("", ids, mask), domains, domains
    )
