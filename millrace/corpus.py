"""From the ``[corpus]`` section of the settings to what the producers take."""

import logging
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.runs.specs import USUAL_CONTEXT, longest_context, suggested_context
from consumers.runs.training import agreed_bos, agreed_context, trainings
from producers.documents import BadDocument, RefusedDocuments
from producers.domain_limits import parse_domain_limit
from producers.fields import Fields
from producers.readers.hugging_face import tokenizer_of
from producers.readers.python_text import PLACE
from producers.resume import expect_same
from producers.settings import CorpusSettings
from producers.sources import TextSource
from streams import topics
from streams.arrays import U32
from streams.catalog.corpora import find_corpus
from streams.deadletters import Origin, Refusal, headers
from streams.errors import CorpusError, SettingsError
from streams.records.corpus import CorpusRecord
from streams.tokenizer.chat import Chat, make_chat
from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.tokenizer import Bos
from streams.transport.client import Client

if TYPE_CHECKING:
    from millrace.settings import Settings

log = logging.getLogger(__name__)


def corpus_settings(settings: "Settings", client: Client) -> CorpusSettings:
    """Return how text becomes the corpus; the tokenizer is the model's unless one is named."""
    section = settings.corpus
    made_with = next(filter(None, map(tokenizer_of, section.text)), None)
    tokenizer = section.tokenizer or settings.model.path or made_with
    if made_with is not None and Path(str(tokenizer)).name != Path(made_with).name:
        log.warning(
            "the text's ids were made with tokenizer %s, as SAELens notes; they are read as those "
            "of %s",
            made_with,
            tokenizer,
        )
    if tokenizer is None:
        raise SettingsError("corpus.tokenizer is missing: name a tokenizer, or a model to take its")
    begun = find_corpus(client, section.name)
    ids = _first_ids(settings)
    per_domain = section.limit_per_domain
    return CorpusSettings(
        name=section.name,
        tokenizer=tokenizer,
        partitions=section.partitions,
        context=section.context or _context(settings, begun, ids),
        batch_rows=section.batch_rows,
        pack=section.pack,
        bos=_bos(settings, client),
        first_id=None if ids is None else int(ids[0]),
        separator=section.separator,
        count_separators=section.count_separators,
        long_rows=section.long_rows,
        special_tokens=section.special_tokens,
        chat=_chat(settings, tokenizer),
        limit_documents=section.limit_documents,
        limit_tokens=section.limit_tokens,
        limit_per_domain=None if per_domain is None else parse_domain_limit(str(per_domain)),
    )


def _chat(settings: "Settings", tokenizer: str) -> Chat | None:
    section = settings.corpus
    if section.chat_field is None:
        return None
    roles, domains = section.chat_roles, section.role_domains
    day = date.fromisoformat(section.chat_date)
    return make_chat(tokenizer, section.chat_template, roles, domains, day)


def _context(settings: "Settings", begun: CorpusRecord | None, ids: U32 | None) -> int:
    """Return how many tokens a row has where no setting says it.

    A corpus that was begun keeps its own. Rows of token ids stay as they are up to what the model
    takes; a text's are what the dictionaries, folders or releases, were trained with.
    """
    if begun is not None:
        return begun.context
    spec = settings.run_spec() if settings.model.path else None
    if ids is not None:
        most = longest_context(spec.model) if spec else None
        return min(len(ids), most or len(ids))
    trained = agreed_context(trainings(settings.sources(), _released))
    return suggested_context(spec.model, trained) if spec else USUAL_CONTEXT


def _first_ids(settings: "Settings") -> U32 | None:
    """Return the first row of a text that holds token ids; None if it holds words.

    What cannot be read is found again, and named, when it is produced.
    """
    section = settings.corpus
    if not section.text or PLACE in section.text:
        return None
    quiet = RefusedDocuments(skip=True)
    found = TextSource(section.text, _format(settings), _fields(settings), quiet)
    if not found.rereadable:
        return None
    try:
        first = next(iter(found), None)
    except CorpusError:
        return None
    if first is None or first.tokens is None or first.joined or len(first.tokens) < 2:
        return None
    return first.tokens


def _bos(settings: "Settings", client: Client) -> Bos:
    """Return which token goes before every row.

    What the settings say goes before what a corpus began with, that before what all dictionaries
    were trained with, and that before what the tokenizer does by itself.
    """
    section = settings.corpus
    if section.bos is not None:
        return "always" if section.bos else "never"
    if (begun := find_corpus(client, section.name)) is not None:
        return "never" if begun.bos_id is None else "prefer"
    agreed = agreed_bos(trainings(settings.sources(), _released))
    return "auto" if agreed is None else "prefer" if agreed else "never"


def _released(release: str, number: str) -> Mapping[str, Any]:
    from consumers.activations.released import released_metadata

    return released_metadata(release, number)


def corpus_to_be(client: Client, settings: "Settings") -> CorpusRecord:
    """Return the record that the corpus will have before it is sealed; nothing is written.

    Raises SettingsError if no text is named or a place has the wrong form, CorpusError if a file or
    folder is not there or another corpus has the name, ModelError for the tokenizer.
    """
    made = corpus_settings(settings, client)
    documents(settings, client).expect_places()
    record = made.record(load_tokenizer(made.tokenizer))
    if (found := find_corpus(client, record.name)) is not None:
        expect_same(found, record)
    return record


def documents(
    settings: "Settings", client: Client, refused: Callable[[Refusal], None] = lambda refusal: None
) -> TextSource:
    """Return the documents to read; those skipped as unreadable become dead letters.

    refused: hears of each of them.
    """
    section = settings.corpus
    return TextSource(
        places=section.text,
        format=_format(settings),
        fields=_fields(settings),
        refusals=RefusedDocuments(
            section.skip_bad, lambda bad: refused(_send(client, section.name, bad))
        ),
    )


def _format(settings: "Settings") -> str | None:
    return None if settings.corpus.format == "auto" else settings.corpus.format


def _fields(settings: "Settings") -> Fields:
    section = settings.corpus
    return Fields(
        text=section.text_field,
        id=section.id_field,
        domain=section.domain_field,
        tokens=section.tokens_field,
        messages=section.chat_field,
        tokens_dtype=section.tokens_dtype,
        encoding=section.encoding,
        list_separator=section.list_separator,
        max_document_bytes=section.max_document_bytes,
    )


def _send(client: Client, corpus: str, bad: BadDocument) -> Refusal:
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
    return refusal
