"""What the user decides about a corpus, and the corpus that follows from it."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

from producers.batches import Layout, batches
from producers.documents import Document
from producers.rows import Cut, Tokenised, first_tokens
from producers.tally import Tally
from streams.corpus import CorpusRecord, TokenBatch
from streams.errors import SettingsError
from streams.names import check_name
from streams.tokenizer.tokenizer import Bos, Tokenizer

CHUNK_DOCUMENTS = 256
CHUNK_CHARACTERS = 2**20


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """How text becomes a corpus.

    tokenizer: hub name or local folder. context: tokens per row, BOS included. pack: join documents
    (with the EOS between them, if there is one) instead of padding each one's last row. bos: which
    token goes before every row. limits: stop after so many documents, or with the row in which the
    number of tokens is reached.
    """

    name: str
    tokenizer: str
    partitions: int = 4
    context: int = 128
    batch_rows: int = 64
    pack: bool = False
    bos: Bos = "auto"
    limit_documents: int | None = None
    limit_tokens: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "corpus")
        for key in ("partitions", "context", "batch_rows", "limit_documents", "limit_tokens"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise SettingsError(f"{key}: {value} is too small; take 1 or more")

    def cut(self, tokenizer: Tokenizer) -> Cut:
        """Return how documents are cut into rows."""
        separator = tokenizer.names.get("eos") if self.pack else None
        bos = tokenizer.bos_id(self.bos)
        return Cut(self.context, tokenizer.pad_id(), bos, self.pack, separator)

    def record(self, tokenizer: Tokenizer) -> CorpusRecord:
        """Return the record of the corpus before it is sealed."""
        cut = self.cut(tokenizer)
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
        )

    def _fingerprint(self, tokenizer: Tokenizer, cut: Cut) -> str:
        """Return a hash of all that decides what the same text becomes."""
        limits = (self.limit_documents, self.limit_tokens)
        layout = (self.partitions, self.batch_rows)
        deciding = json.dumps([tokenizer.id, asdict(cut), layout, limits], sort_keys=True)
        return hashlib.blake2b(deciding.encode(), digest_size=16).hexdigest()

    def batches(
        self, tokenizer: Tokenizer, documents: Iterable[Document], tally: Tally
    ) -> Iterator[TokenBatch]:
        """Yield the batches of the corpus; ``tally`` counts the documents that they hold."""
        limited = islice(documents, self.limit_documents)
        rows = self.cut(tokenizer).rows(tokenised(tokenizer, limited))
        if self.limit_tokens is not None:
            rows = first_tokens(rows, self.limit_tokens)
        layout = Layout(self.name, self.partitions, self.batch_rows, tokenizer.id)
        return batches(layout, tally.begun(rows))


def tokenised(tokenizer: Tokenizer, documents: Iterable[Document]) -> Iterator[Tokenised]:
    """Yield documents with their ids, tokenised some at a time, which is what makes it fast."""
    chunk: list[Document] = []
    characters = 0
    for document in documents:
        chunk.append(document)
        characters += len(document.text)
        if len(chunk) == CHUNK_DOCUMENTS or characters >= CHUNK_CHARACTERS:
            yield from zip(chunk, tokenizer.encode([d.text for d in chunk]), strict=True)
            chunk, characters = [], 0
    yield from zip(chunk, tokenizer.encode([d.text for d in chunk]), strict=True)
