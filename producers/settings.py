"""What the user decides about a corpus, and the corpus that follows from it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Literal

from producers.batches import Layout, batches
from producers.documents import Documents
from producers.domain_limits import DomainLimit, limited_documents, limited_rows
from producers.rows import Cut, first_tokens
from producers.tally import CorpusTally
from producers.tokenised import LONG_ROWS, Form, LongRows, tokenised
from producers.written_ids import check_written_ids
from streams.bounds import MAX_BATCH_TOKENS
from streams.errors import SettingsError
from streams.names import check_name
from streams.records.corpus import Choice, CorpusRecord, TokenBatch
from streams.tokenizer.chat import Chat
from streams.tokenizer.tokenizer import Bos, Tokenizer

SpecialTokens = Literal["text", "parse"]
SEPARATORS = ("eos", "bos", "none")


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """How text becomes a corpus.

    tokenizer: hub name or local folder. context: tokens per row, BOS included. pack: join documents
    instead of padding each one's last row. bos: which token goes before every row. first_id: of a
    text that holds rows of token ids, the first one's first id: such rows are left as they are,
    and only tell whether they have a BOS. separator: what pack puts between documents: "eos" or
    "bos" if the tokenizer has one, "none", or a token. count_separators: whether these count; None:
    only those that a run may mask by their id. long_rows: what happens to rows of token ids beyond
    the context. special_tokens: whether a special token that a text spells is text or that token.
    chat: how conversations are read. limits: stop after so many documents, or with the row in which
    the number of tokens that count is reached; or take so much of each domain.
    """

    name: str
    tokenizer: str
    partitions: int = 4
    context: int = 128
    batch_rows: int = 64
    pack: bool = False
    bos: Bos = "auto"
    first_id: int | None = None
    separator: str = "eos"
    count_separators: bool | None = None
    long_rows: LongRows = "split"
    special_tokens: SpecialTokens = "text"
    chat: Chat | None = None
    limit_documents: int | None = None
    limit_tokens: int | None = None
    limit_per_domain: DomainLimit | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "corpus")
        for key in ("partitions", "context", "batch_rows", "limit_documents", "limit_tokens"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise SettingsError(f"{key}: {value} is too small; take 1 or more")
        if self.batch_rows * self.context > MAX_BATCH_TOKENS:
            raise SettingsError(
                f"batch_rows: {self.batch_rows:,} rows of {self.context:,} tokens are more than "
                f"the {MAX_BATCH_TOKENS:,} tokens that a batch can hold; take fewer"
            )
        if self.long_rows not in LONG_ROWS:
            raise SettingsError(f"long_rows: {self.long_rows!r} is none of {', '.join(LONG_ROWS)}")

    def cut(self, tokenizer: Tokenizer) -> Cut:
        """Return how documents are cut into rows."""
        bos = self._bos(tokenizer)
        separator = self._separator(tokenizer) if self.pack else None
        # Where it matters whose text counts, what the producer puts there is nobody's.
        nobody = self.chat is not None and self.chat.tells_roles
        counted = separator is None or (separator in tokenizer.special and not nobody)
        return Cut(
            self.context,
            tokenizer.pad_id(),
            bos,
            self.pack,
            separator,
            counted if self.count_separators is None else self.count_separators,
            count_bos=bos is None or (bos in tokenizer.special and not nobody),
        )

    def form(self, tokenizer: Tokenizer) -> Form:
        """Return how documents become token ids."""
        return Form(
            self.context,
            self._bos(tokenizer),
            self.bos == "always",
            self.long_rows,
            self.special_tokens == "parse",
            self.chat,
        )

    def record(self, tokenizer: Tokenizer) -> CorpusRecord:
        """Return the record of the corpus before it is sealed.

        Raises SettingsError if the producer would write an id that the tokenizer does not have.
        """
        cut = self.cut(tokenizer)
        check_written_ids(cut, tokenizer.size, self.tokenizer)
        placed = [i for i in (cut.bos, cut.separator, cut.pad) if i is not None]
        return CorpusRecord(
            name=self.name,
            partitions=self.partitions,
            tokenizer=self.tokenizer,
            tokenizer_id=tokenizer.id,
            vocabulary=tokenizer.size,
            context=self.context,
            batch_rows=self.batch_rows,
            pack=self.pack,
            bos_id=cut.bos,
            pad_id=cut.pad,
            special_ids=tokenizer.special,
            fingerprint=self._fingerprint(tokenizer, cut),
            largest_id=max(tokenizer.largest_of_text, *placed),
            choices=self._choices(),
        )

    def _bos(self, tokenizer: Tokenizer) -> int | None:
        """Return the id before every row."""
        if self.first_id is not None and self.bos in ("auto", "prefer"):
            bos = tokenizer.names.get("bos")
            return bos if self.first_id == bos else None
        if self.chat is not None and self.bos in ("auto", "prefer"):
            return self._bos_of_chat(tokenizer, self.chat)
        return tokenizer.bos_id(self.bos)

    def _bos_of_chat(self, tokenizer: Tokenizer, chat: Chat) -> int | None:
        """Return the BOS if the template writes it."""
        try:
            text, _ = chat.render(({"role": "user", "content": "hello"},))
        except ValueError:
            return tokenizer.bos_id(self.bos)
        bos = tokenizer.names.get("bos")
        first = tokenizer.encode([text], special=True)[0][:1].tolist()
        return bos if first == [bos] else None

    def _choices(self) -> tuple[Choice, ...]:
        """Return the settings that differ from their defaults and are not in the record itself."""
        shown = {
            "separator": self.separator if self.pack and self.separator != "eos" else None,
            "count_separators": self.count_separators if self.pack else None,
            "long_rows": self.long_rows if self.long_rows != "split" else None,
            "special_tokens": None if self.special_tokens == "text" else self.special_tokens,
            **({} if self.chat is None else self.chat.choices()),
            "limit_documents": self.limit_documents,
            "limit_tokens": self.limit_tokens,
            "limit_per_domain": self.limit_per_domain and self.limit_per_domain.text(),
        }
        return tuple(Choice(key, str(value)) for key, value in shown.items() if value is not None)

    def _fingerprint(self, tokenizer: Tokenizer, cut: Cut) -> str:
        """Return a hash of all that decides what the same text becomes."""
        layout = (self.partitions, self.batch_rows)
        choices = [asdict(choice) for choice in self._choices()]
        form = asdict(replace(self.form(tokenizer), chat=None))
        deciding = json.dumps([tokenizer.id, asdict(cut), form, layout, choices], sort_keys=True)
        return hashlib.blake2b(deciding.encode(), digest_size=16).hexdigest()

    def _separator(self, tokenizer: Tokenizer) -> int | None:
        """Return the id between joined documents; SettingsError if there is no such token."""
        if self.separator == "none":
            return None
        if self.separator in SEPARATORS:
            return tokenizer.names.get(self.separator)
        found = tokenizer.id_of(self.separator)
        if found is None:
            raise SettingsError(
                f"separator: {self.separator!r} is no token of {tokenizer.location}; take one, or "
                f"{', '.join(SEPARATORS)}"
            )
        return found

    def batches(
        self, tokenizer: Tokenizer, documents: Documents, tally: CorpusTally
    ) -> Iterator[TokenBatch]:
        """Yield the batches of the corpus; ``tally`` counts the documents that they hold."""
        chosen = islice(limited_documents(documents, self.limit_per_domain), self.limit_documents)
        encoded = tokenised(tokenizer, chosen, self.form(tokenizer), documents.refusals)
        rows = limited_rows(self.cut(tokenizer).rows(encoded), self.limit_per_domain)
        if self.limit_tokens is not None:
            rows = first_tokens(rows, self.limit_tokens)
        layout = Layout(self.name, self.partitions, self.batch_rows, tokenizer.id)
        return batches(layout, tally.begun(rows))
