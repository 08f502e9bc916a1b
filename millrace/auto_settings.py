"""Settings that say "auto": what they meant before, and the rows that a choice is measured on."""

from dataclasses import replace
from typing import TYPE_CHECKING

from consumers.runs.specs import RunSpec, settled
from millrace.corpus import corpus_settings, documents
from producers.documents import RefusedDocuments
from producers.tally import CorpusTally
from streams import topics
from streams.catalog.corpora import find_corpus
from streams.catalog.runs import list_runs
from streams.errors import RecordError
from streams.record_headers import kind_in
from streams.records.corpus import TokenBatch
from streams.records.runs import RunRecord
from streams.tokenizer.loading import load_tokenizer
from streams.transport.client import Client
from streams.wire import codec

if TYPE_CHECKING:
    from millrace.settings import Settings


def settled_spec(client: Client, settings: "Settings") -> RunSpec:
    """Return the run that the settings ask for; a run of that name that is there keeps its choice.

    Raises SettingsError without a model.
    """
    spec = settings.run_spec()
    if not settings.has_auto() and spec.model.forward != "auto":
        return spec
    known = [run for run in list_runs(client) if run.name == spec.name]
    return settled(spec, known[0]) if known else spec


def choice(run: RunRecord) -> str:
    """Return what "auto" has come to in a run, as a line."""
    return f"auto: {run.model.dtype}, micro-batch {run.model.micro_batch}"


def sample_rows(client: Client, settings: "Settings", spec: RunSpec) -> TokenBatch | None:
    """Return rows to choose the micro-batch of a run with, None if it needs no choice."""
    return first_batch(client, settings) if spec.model.micro_batch == "auto" else None


def first_batch(client: Client, settings: "Settings") -> TokenBatch | None:
    """Return the first batch of the corpus, from the broker or else made from the text.

    None where there is neither, or the text can be read only once. Raises CorpusError for text
    that cannot be read.
    """
    if find_corpus(client, settings.corpus.name) is not None:
        return _stored(client, settings.corpus.name)
    if not settings.corpus.text:
        return None
    source = documents(settings, client)
    if not source.rereadable:
        return None
    # What is unreadable becomes a dead letter when the corpus is made, not here as well.
    quiet = replace(source, refusals=RefusedDocuments(settings.corpus.skip_bad, lambda bad: None))
    made = corpus_settings(settings, client)
    return next(iter(made.batches(load_tokenizer(made.tokenizer), quiet, CorpusTally())), None)


def _stored(client: Client, corpus: str) -> TokenBatch | None:
    topic = topics.tokens(corpus, 1).name
    if topic not in client.topics():
        return None
    for record in client.read(topic, 0):
        if kind_in(record.headers) != topics.END:
            try:
                return codec.decode(TokenBatch, record.value)
            except RecordError:
                continue  # the worker that meets it will refuse it
    return None
