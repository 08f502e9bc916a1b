"""From what a person asks to a run record, and the engine of the new run."""

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from consumers.activations.torch_engine import TorchEngine
from consumers.models.agreement import with_forward
from consumers.models.batch_sizes import usual_micro_batch
from consumers.models.devices import pick_device
from consumers.models.dtypes import pick_dtype
from consumers.models.language_model import LanguageModel
from consumers.models.tf32 import expect_tf32_possible
from consumers.plan import make_plan
from consumers.runs.clusters import load_clustering
from consumers.runs.default_numbers import (
    fitting,
    measurable,
    numbers,
    usual_bucket_bytes,
)
from consumers.runs.disagreements import disagreements
from consumers.runs.kept_size import kept_size
from consumers.runs.loading import load_parts, say_lacks
from consumers.runs.measured_l0 import Sample, l0_lines
from consumers.runs.number_costs import cost_line, sampled_costs
from consumers.runs.run_checks import (
    bin_edges,
    check_corpus,
    check_names,
    masked_ids,
    masked_positions,
)
from consumers.runs.specs import RunSpec, SourceSpec, coactivates
from consumers.sources.source import LoadedSource, WantedSource
from consumers.tuning.tuning import QUICK
from consumers.tuning.tuning_run import chosen_micro_batch, random_sample, with_micro_batch
from streams.arrays import I64
from streams.errors import ModelError, UserError
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.records.measures import statistics
from streams.records.runs import Clustering, Model, RunRecord, Source
from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)


def prepare_run(
    spec: RunSpec,
    corpus: CorpusRecord,
    created: str = "",
    sample: Sample = lambda: None,
    tokenizer: Tokenizer | None = None,
) -> TorchEngine:
    """Return the engine of a new run over a corpus, whose plan holds the run's record.

    The corpus need not be sealed yet, nor be on a broker. created: the time, as text. sample: what
    gives the first batch of the corpus, to choose the micro-batch with if that is "auto" (random
    rows if there is none), and to measure the L0 that a dictionary was published with. tokenizer:
    the corpus', if it is loaded. Raises ModelError, RunError or SettingsError in one line for
    whatever does not fit: names, hooks, widths, vocabulary, context, labels, sizes.
    """
    check_names(spec)
    numbers(spec, 0)  # what is misspelt is said before anything is loaded
    device = pick_device(spec.model.device)
    dtype, size = pick_dtype(spec.model.dtype, device), spec.model.micro_batch
    if size is None:
        size = usual_micro_batch(corpus.context, gpu=device.type == "cuda")
    if spec.model.tf32:
        expect_tf32_possible(dtype)
    wanted = [WantedSource(s.name, s.kind, s.location, s.hook, True) for s in spec.sources]
    model, loaded = load_parts(wanted, spec.model.path, device, dtype)
    check_corpus(corpus, model)
    hooks = sorted({source.hook for source in loaded})
    model = with_forward(model, hooks, spec.model.forward, corpus.context)
    sources = tuple(map(_source, spec.sources, loaded))
    clusterings = _clusterings(spec, sources)
    watched = _watched(sources, clusterings)
    chosen = measurable(numbers(spec, watched), model, loaded, corpus.context)
    threads = spec.model.threads or os.cpu_count() or 1
    absent = masked_ids(spec, corpus), masked_positions(spec, corpus)
    run = RunRecord(
        name=spec.name,
        corpus=corpus.name,
        partitions=corpus.partitions,
        context=corpus.context,
        model=Model(
            location=model.location,
            content=model.content(),
            vocabulary=corpus.vocabulary,
            dtype=dtype,
            micro_batch=1 if size == "auto" else size,
            threads=threads,
            forward=model.forward,
            reason=model.reason,
            tf32=spec.model.tf32,
        ),
        sources=sources,
        clusterings=clusterings,
        shards=spec.shards,
        store=spec.store,
        statistics=(*statistics(spec.sum_bits, bin_edges(spec.edges)), *chosen.statistics),
        rankings=chosen.rankings,
        masked_ids=absent[0],
        masked_positions=absent[1],
        bucket_bytes=spec.bucket_bytes or usual_bucket_bytes(spec.record_bytes),
        record_bytes=spec.record_bytes,
        created=created,
        warnings=_warnings(loaded, corpus, model, *absent, tokenizer),
        keep=spec.keep,
    )
    say_lacks(run, device)
    plan = fitting(run, chosen.by_default)
    engine = TorchEngine(plan, model, loaded)
    first_batch = cache(sample)
    engine = _said(engine, l0_lines(engine, first_batch))
    if chosen.by_default:
        rows = corpus.rows if corpus.sealed else None
        log.warning("%s", cost_line(sampled_costs(engine, first_batch, rows)))
    if spec.keep != "nothing":
        log.warning("%s", kept_size(engine, corpus, first_batch))
    return _tuned(engine, corpus, first_batch()) if size == "auto" else engine


def _watched(sources: Sequence[Source], clusterings: Sequence[Clustering]) -> int:
    """Return how many clusters a run has."""
    singles = sum(source.components for source in sources if source.singles)
    return singles + sum(len(each.labels) for each in clusterings)


def _said(engine: TorchEngine, more: tuple[str, ...]) -> TorchEngine:
    """Return the engine with these lines among its record's warnings, all of which are logged."""
    run = replace(engine.plan.run, warnings=(*engine.plan.run.warnings, *more))
    for line in run.warnings:
        log.warning("%s", line)
    engine.plan = replace(engine.plan, run=run)
    return engine


def _warnings(
    loaded: Sequence[LoadedSource],
    corpus: CorpusRecord,
    model: LanguageModel,
    ids: I64,
    positions: I64,
    tokenizer: Tokenizer | None,
) -> tuple[str, ...]:
    """Return what has to be said of a run's dictionaries, corpus and model, a line each."""
    trained = {one.name: one.training for one in loaded if one.kind == "dictionary"}
    own = [line for one in loaded for line in one.warnings]
    separators = _separators(corpus, tokenizer)
    found = disagreements(
        trained, corpus, model.location, ids.tolist(), positions.tolist(), separators
    )
    return (*model.warnings, *own, *found)


def _separators(
    corpus: CorpusRecord, loaded: Tokenizer | None
) -> Callable[[str], int | str | None]:
    """Return a function from a setting of ``corpus.separator`` to its id in the corpus' tokenizer.

    None for no token; the setting itself where the tokenizer cannot be read here.
    """

    def found(setting: str) -> int | str | None:
        if setting == "none":
            return None
        try:
            tokenizer = loaded or load_tokenizer(corpus.tokenizer)
        except UserError as error:
            log.info("Separators are compared by name: %s", error)
            return setting
        named = setting in ("bos", "eos", "sep")
        return tokenizer.names.get(setting) if named else tokenizer.id_of(setting)

    return found


def _tuned(engine: TorchEngine, corpus: CorpusRecord, sample: TokenBatch | None) -> TorchEngine:
    """Return the engine with the micro-batch that measures best here."""
    rows = corpus.batch_rows
    sample = sample or random_sample(corpus, rows)
    size = chosen_micro_batch(engine, sample, rows, QUICK)
    log.info("micro-batch %d measured best for batches of %d rows", size, rows)
    run = with_micro_batch(engine.plan, size).run
    return TorchEngine(make_plan(run), engine.model, engine.sources)


def _source(spec: SourceSpec, loaded: LoadedSource) -> Source:
    outside = [index for index in spec.dropped if not 0 <= index < loaded.components]
    if outside:
        raise ModelError(
            f"{loaded.kind} {spec.name!r}: dropped component {outside[0]} does not exist, "
            f"it has {loaded.components}"
        )
    if not 0 <= spec.threshold < math.inf:
        raise ModelError(
            f"{loaded.kind} {spec.name!r}: threshold {spec.threshold} is no number from 0 on; a "
            "component fires where its value, with its sign, is above it"
        )
    return Source(
        name=spec.name,
        kind=loaded.kind,
        location=loaded.location,
        content=loaded.content,
        hook=loaded.hook,
        components=loaded.components,
        sign=spec.sign or loaded.sign,
        threshold=spec.threshold,
        dropped=tuple(sorted(set(spec.dropped))),
        singles=spec.clusters_of_one,
        coactivation=spec.clusters_of_one and coactivates(spec.coactivation, loaded.components),
    )


def _clusterings(spec: RunSpec, sources: Sequence[Source]) -> tuple[Clustering, ...]:
    found = tuple(load_clustering(c.path, sources, c.coactivation) for c in spec.clusterings)
    names = [(one.name, one.iteration) for one in found]
    for number, (name, iteration) in enumerate(names):
        if (name, iteration) in names[:number]:
            raise ModelError(f"two cluster files are named {name!r}, iteration {iteration}")
    return found
