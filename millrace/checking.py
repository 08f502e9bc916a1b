"""Checking the run of some settings: everything is loaded once, a few rows are computed."""

from typing import TYPE_CHECKING

from millrace.auto_settings import first_batch, settled_spec
from millrace.check_report import Report
from millrace.corpus import corpus_settings
from millrace.progress_bars import spinner
from streams.catalog.corpora import find_corpus, get_vocabulary
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.tokenizer.loading import load_tokenizer
from streams.transport.client import Client
from streams.transport.connect import connect

if TYPE_CHECKING:
    from consumers.activations.compute import TorchEngine
    from millrace.settings import Settings


def checked(settings: "Settings") -> Report:
    """Return what a check of the settings' run finds; nothing is written.

    Raises what creating the run would, in one line.
    """
    client = connect(settings.access)
    spec = settled_spec(client, settings)
    corpus, tokens = _corpus(client, settings)
    with spinner("loading the model and its dictionaries"):
        from consumers.runs.creation import prepare_run

        sample = first_batch(client, settings)
        engine = prepare_run(spec, corpus, sample=sample)
        return report_on(engine, corpus, tokens, sample)


def report_on(
    engine: "TorchEngine",
    corpus: CorpusRecord,
    tokens: tuple[bytes, ...],
    sample: TokenBatch | None,
) -> Report:
    """Return what rows of a corpus, random ones if None, say about an engine.

    tokens: the bytes of every id, empty where nobody asks for the BOS.
    """
    from consumers.runs.checking import check_engine
    from consumers.tuning.tuning_run import random_sample

    read = sample or random_sample(corpus, min(8, corpus.batch_rows))
    found = check_engine(engine, read, corpus.rows if corpus.sealed else None)
    bos = (
        ""
        if corpus.bos_id is None or not tokens
        else tokens[corpus.bos_id].decode(errors="replace").strip()
    )
    kind = "random token ids" if sample is None else "text"
    return Report(engine.plan.run, corpus, bos, kind, str(engine.model.device), found)


def _corpus(client: Client, settings: "Settings") -> tuple[CorpusRecord, tuple[bytes, ...]]:
    """Return the corpus as it is, or else as it will be, with the bytes of every token id."""
    known = find_corpus(client, settings.corpus.name)
    if known is not None and known.sealed:
        return known, get_vocabulary(client, known.name).tokens
    if known is not None:
        return known, load_tokenizer(known.tokenizer).tokens
    made = corpus_settings(settings, client)
    tokenizer = load_tokenizer(made.tokenizer)
    return made.record(tokenizer), tokenizer.tokens
