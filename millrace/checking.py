"""Checking the run of some settings: everything is loaded once, a few rows are computed."""

from typing import TYPE_CHECKING

from millrace.auto_settings import first_batch, settled_spec
from millrace.check_report import Report
from millrace.corpus import PreparedText
from millrace.prepared_run import corpus_and_text
from millrace.progress_bars import spinner
from streams.catalog.corpora import get_vocabulary
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.tokenizer.loading import load_tokenizer
from streams.transport.client import Client
from streams.transport.connect import connect

if TYPE_CHECKING:
    from consumers.activations.torch_engine import TorchEngine
    from millrace.settings import Settings


def checked(settings: "Settings") -> Report:
    """Return what a check of the settings' run finds; nothing is written.

    Raises what creating the run would, in one line.
    """
    client = connect(settings.access)
    spec = settled_spec(client, settings)
    corpus, text = corpus_and_text(client, settings)
    with spinner("loading the model and its dictionaries"):
        from consumers.runs.creation import prepare_run

        sample = first_batch(client, corpus, text)
        engine = prepare_run(
            spec, corpus, sample=lambda: sample, tokenizer=text.tokenizer if text else None
        )
        return report_on(engine, corpus, _tokens(client, corpus, text), sample)


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


def _tokens(client: Client, corpus: CorpusRecord, text: PreparedText | None) -> tuple[bytes, ...]:
    """Return the bytes of every token id of a corpus."""
    if text is not None:
        return text.tokenizer.tokens
    if corpus.sealed:
        return get_vocabulary(client, corpus.name).tokens
    return load_tokenizer(corpus.tokenizer).tokens
