"""Settings that say "auto": what they meant before, and the rows that a choice is measured on."""

from typing import TYPE_CHECKING

from consumers.runs.specs import RunSpec, settled
from millrace.corpus import PreparedText
from streams import topics
from streams.catalog.runs import list_runs
from streams.errors import RecordError
from streams.record_headers import kind_in
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.records.runs import RunRecord
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


def first_batch(
    client: Client, corpus: CorpusRecord, text: PreparedText | None
) -> TokenBatch | None:
    """Return the first batch of a corpus, from the broker or else made from its text.

    text: None for a corpus that is on the broker. Returns None where there is neither, or the text
    can be read only once. Raises CorpusError for text that cannot be read.
    """
    if text is None or text.known is not None:
        return _stored(client, corpus.name)
    return text.first_batch()


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
