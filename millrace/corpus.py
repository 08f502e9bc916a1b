"""From the ``[corpus]`` section of the settings to what the producers take."""

from typing import TYPE_CHECKING

from consumers.runs.specs import suggested_context
from producers.documents import BadDocument, Fields, Refusals
from producers.resume import expect_same
from producers.settings import CorpusSettings
from producers.sources import Source
from streams import topics
from streams.catalog import find_corpus
from streams.corpus import CorpusRecord
from streams.deadletters import Origin, Refusal, headers
from streams.errors import SettingsError
from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.tokenizer import Bos
from streams.transport.client import Client

if TYPE_CHECKING:
    from millrace.settings import Settings

_BOS: dict[bool | None, Bos] = {None: "auto", True: "always", False: "never"}


def corpus_settings(settings: "Settings") -> CorpusSettings:
    """Return how text becomes the corpus; the tokenizer is the model's unless one is named."""
    section = settings.corpus
    tokenizer = section.tokenizer or settings.model.path
    if tokenizer is None:
        raise SettingsError("corpus.tokenizer is missing: name a tokenizer, or a model to take its")
    spec = settings.run_spec() if settings.model.path else None
    usual = suggested_context(spec.model, spec.sources) if spec else 128
    return CorpusSettings(
        name=section.name,
        tokenizer=tokenizer,
        partitions=section.partitions,
        context=section.context or usual,
        batch_rows=section.batch_rows,
        pack=section.pack,
        bos=_BOS[section.bos],
        limit_documents=section.limit_documents,
        limit_tokens=section.limit_tokens,
    )


def corpus_to_be(client: Client, settings: "Settings") -> CorpusRecord:
    """Return the record that the corpus will have before it is sealed; nothing is written.

    Raises SettingsError if no text is named or a place has the wrong form, CorpusError if a file or
    folder is not there or another corpus has the name, ModelError for the tokenizer.
    """
    made = corpus_settings(settings)
    documents(settings, client).expect_places()
    record = made.record(load_tokenizer(made.tokenizer))
    if (found := find_corpus(client, record.name)) is not None:
        expect_same(found, record)
    return record


def documents(settings: "Settings", client: Client) -> Source:
    """Return the documents to read; those skipped as unreadable become dead letters."""
    section = settings.corpus
    return Source(
        places=section.text,
        format=None if section.format == "auto" else section.format,
        fields=Fields(section.text_field, section.id_field, section.domain_field),
        refusals=Refusals(section.skip_bad, lambda bad: _send(client, section.name, bad)),
    )


def _send(client: Client, corpus: str, bad: BadDocument) -> None:
    client.create_topics([topics.DEAD_LETTERS])
    refusal = Refusal(
        origin=Origin(bad.where),
        error="UnreadableDocument",
        message=bad.cause,
        stage="produce",
        app=f"produce.{corpus}",
    )
    with client.sender() as sender:
        sender.send(topics.DEAD_LETTERS.name, 0, bad.data, headers=headers(refusal))
        sender.flush()
