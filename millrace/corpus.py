"""From the ``[corpus]`` section of the settings to what the producers take, prepared once."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.models.batch_sizes import expects_gpu, usual_batch_rows
from consumers.runs.specs import USUAL_CONTEXT, longest_context, suggested_context
from consumers.runs.trainings import agreed_bos, agreed_context, trainings
from consumers.sources.training import Training
from producers.documents import BadDocument, RefusedDocuments
from producers.domain_limits import parse_domain_limit
from producers.fields import Fields
from producers.readers.hugging_face import tokenizer_of
from producers.readers.python_text import PLACE
from producers.resume import expect_same
from producers.settings import CorpusSettings
from producers.sources import TextSource
from producers.tally import CorpusTally
from streams import topics
from streams.arrays import U32
from streams.catalog.corpora import find_corpus
from streams.deadletters import Origin, Refusal, headers
from streams.errors import CorpusError, SettingsError
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.tokenizer.chat import Chat, make_chat
from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.tokenizer import Bos, Tokenizer
from streams.transport.client import Client

if TYPE_CHECKING:
    from millrace.settings import Settings

log = logging.getLogger(__name__)

Trained = Callable[[], Mapping[str, Training]]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedText:
    """What a corpus is made of, read from settings, broker and disk once and handed on.

    how: how text becomes rows. record: that of the corpus before it is sealed. source: the
    documents, None if no text is named. skip_bad: whether unreadable ones are passed over. known:
    the corpus of that name on the broker.
    """

    how: CorpusSettings
    tokenizer: Tokenizer
    record: CorpusRecord
    source: TextSource | None
    skip_bad: bool
    known: CorpusRecord | None

    def expect_producible(self) -> CorpusRecord:
        """Return the record if the text is there and no other corpus has the name.

        Raises SettingsError if no text is named or a place has the wrong form, CorpusError if a
        file or folder is not there, or the corpus of that name is another.
        """
        self._documents(RefusedDocuments()).expect_places()
        if self.known is not None:
            expect_same(self.known, self.record)
        return self.record

    def documents(self, client: Client, refused: Callable[[Refusal], None]) -> TextSource:
        """Return the documents to produce; those skipped as unreadable become dead letters.

        refused: hears of each of them. Raises SettingsError if no text is named.
        """
        return self._documents(
            RefusedDocuments(self.skip_bad, lambda bad: refused(_send(client, self.how.name, bad)))
        )

    def first_batch(self) -> TokenBatch | None:
        """Return the first batch that the text makes; None without text, or if read only once.

        Raises CorpusError for text that cannot be read. What is skipped as unreadable becomes a
        dead letter when the corpus is made, not here as well.
        """
        if self.source is None or not self.source.rereadable:
            return None
        quiet = self._documents(RefusedDocuments(self.skip_bad, lambda bad: None))
        return next(iter(self.how.batches(self.tokenizer, quiet, CorpusTally())), None)

    def _documents(self, refusals: RefusedDocuments) -> TextSource:
        if self.source is None:
            return TextSource(())
        return replace(self.source, refusals=refusals)


def prepare_text(settings: "Settings", client: Client) -> PreparedText:
    """Return what the corpus of the settings is made of; nothing is written.

    The tokenizer is the model's unless one is named. Raises SettingsError for settings that do not
    fit together, ModelError for the tokenizer.
    """
    section = settings.corpus
    source = None
    if section.text:
        source = TextSource(section.text, _format(settings), _fields(settings))
    known = find_corpus(client, section.name)
    how = _corpus_settings(settings, known, _first_ids(source))
    tokenizer = load_tokenizer(how.tokenizer)
    return PreparedText(how, tokenizer, how.record(tokenizer), source, section.skip_bad, known)


def _corpus_settings(
    settings: "Settings", known: CorpusRecord | None, ids: U32 | None
) -> CorpusSettings:
    """Return how text becomes the corpus. known: as in PreparedText. ids: the text's first row."""
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
    per_domain = section.limit_per_domain
    trained = cache(lambda: trainings(settings.sources(), _released))
    context = section.context or _context(settings, known, ids, trained)
    return CorpusSettings(
        name=section.name,
        tokenizer=tokenizer,
        partitions=section.partitions,
        context=context,
        batch_rows=section.batch_rows or _batch_rows(settings, known, context),
        pack=section.pack,
        bos=_bos(section.bos, known, trained),
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


def _batch_rows(settings: "Settings", known: CorpusRecord | None, context: int) -> int:
    """Return the rows of a batch where no setting says it; one that was begun keeps its own.

    Batches are large for GPUs if all sources are dictionaries: of others every value is held while
    a batch is selected, which would take more than a card has.
    """
    if known is not None:
        return known.batch_rows
    sparse = all(source.kind == "dictionary" for source in settings.sources())
    return usual_batch_rows(context, gpu=sparse and expects_gpu(settings.model.device))


def _context(
    settings: "Settings", known: CorpusRecord | None, ids: U32 | None, trained: Trained
) -> int:
    """Return how many tokens a row has where no setting says it.

    A corpus that was begun keeps its own. Rows of token ids stay as they are up to what the model
    takes; a text's are what the dictionaries, folders or releases, were trained with.
    """
    if known is not None:
        return known.context
    spec = settings.run_spec() if settings.model.path else None
    if ids is not None:
        most = longest_context(spec.model) if spec else None
        return min(len(ids), most or len(ids))
    agreed = agreed_context(trained())
    return suggested_context(spec.model, agreed) if spec else USUAL_CONTEXT


def _first_ids(source: TextSource | None) -> U32 | None:
    """Return the first row of a text that holds token ids; None if it holds words.

    What cannot be read is found again, and named, when it is produced.
    """
    if source is None or PLACE in source.places or not source.rereadable:
        return None
    try:
        first = next(iter(replace(source, refusals=RefusedDocuments(skip=True))), None)
    except CorpusError:
        return None
    if first is None or first.tokens is None or first.joined or len(first.tokens) < 2:
        return None
    return first.tokens


def _bos(wanted: bool | None, known: CorpusRecord | None, trained: Trained) -> Bos:
    """Return which token goes before every row.

    What the settings say goes before what a corpus began with, that before what all dictionaries
    were trained with, and that before what the tokenizer does by itself.
    """
    if wanted is not None:
        return "always" if wanted else "never"
    if known is not None:
        return "never" if known.bos_id is None else "prefer"
    agreed = agreed_bos(trained())
    return "auto" if agreed is None else "prefer" if agreed else "never"


def _released(release: str, number: str) -> Mapping[str, Any]:
    from consumers.sources.released import released_metadata

    return released_metadata(release, number)


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
