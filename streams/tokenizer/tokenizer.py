"""The model's own tokenizer at work: texts into ids, and which ids go around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tokenizers import Tokenizer as Backend

from streams.arrays import U32
from streams.errors import SettingsError
from streams.records.corpus import TokenForms, Vocabulary
from streams.tokenizer.description import Description, describe, part_types, tokenizer_id
from streams.tokenizer.encoders import FastEncoder, TextEncoder
from streams.tokenizer.special import unreachable_ids
from streams.tokenizer.token_text import TokenTexts, byte_level_texts, probed_texts

Bos = Literal["auto", "always", "never", "prefer"]
BOS_POLICIES: tuple[Bos, ...] = get_args(Bos)


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer that reads every text as text: what spells a special token becomes no such id.

    location: its name or folder. id: a hash of what it does. size: all ids are below it. special:
    the ids that no text can become. names: ids by name ("bos", "eos", "pad", ...). opening: the ids
    that it puts before a text by itself. texts: what every id shows as. largest_of_text: the
    largest id that a text can become.
    """

    location: str
    id: str
    size: int
    special: tuple[int, ...]
    names: dict[str, int]
    opening: tuple[int, ...]
    texts: TokenTexts
    encoder: TextEncoder
    largest_of_text: int

    def bos_id(self, policy: Bos) -> int | None:
        """Return the id to put before every row, None for none.

        "auto" does as the tokenizer does by itself; "prefer" puts a BOS if there is one. Raises
        SettingsError if the policy cannot be followed.
        """
        if policy == "prefer":
            policy = "always" if "bos" in self.names and not self.opening else "auto"
        if policy == "never":
            return None
        if policy == "always":
            if "bos" not in self.names:
                raise SettingsError(f"bos: {self.location} has no BOS token; take auto or never")
            return self.names["bos"]
        if policy != "auto":
            raise SettingsError(f"bos: {policy!r} is none of {', '.join(BOS_POLICIES)}")
        if len(self.opening) > 1:
            raise SettingsError(
                f"bos: {self.location} puts {len(self.opening)} tokens before a text and a row "
                "can have only one; take always or never"
            )
        return self.opening[0] if self.opening else None

    def pad_id(self) -> int:
        """Return the id that fills rows; the mask hides it, so any other would do as well.

        An id beyond those of text may lie beyond the model's embedding, too, and is not taken.
        """
        named = (self.names[n] for n in ("pad", "eos", "bos") if n in self.names)
        return next((number for number in named if number <= self.largest_of_text), 0)

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of every id."""
        return self.texts.tokens

    def vocabulary(self, corpus: str) -> Vocabulary:
        """Return the bytes of every id, for readers who have no tokenizer."""
        texts = self.texts
        return Vocabulary(corpus, self.tokens, *map(_forms, (texts.first, texts.last, texts.alone)))

    def encode(self, texts: Sequence[str], special: bool = False) -> list[U32]:
        """Return the ids of each text, nothing put around it.

        special: a spelt special token is that token; else it is text like any other.
        """
        return self.encoder.encode(texts, special)

    def id_of(self, token: str) -> int | None:
        """Return the id of a token by its spelling, None if there is none."""
        return self.encoder.id_of(token)


def _forms(found: Mapping[int, bytes]) -> TokenForms:
    return TokenForms(tuple(found), tuple(found.values()))


def make_tokenizer(location: str, backend: Backend, names: dict[str, int]) -> Tokenizer:
    """Return a tokenizer that does what a loaded one does. names: ids of its named tokens."""
    description = describe(backend)
    unreachable = unreachable_ids(description, names)
    pieces = backend.get_vocab(with_added_tokens=True)
    encoder = FastEncoder(backend, description, unreachable)
    return Tokenizer(
        location=location,
        id=tokenizer_id(description),
        size=max(pieces.values()) + 1,
        special=tuple(sorted(unreachable)),
        names=names,
        opening=_opening(backend),
        texts=_texts(encoder, description, pieces),
        encoder=encoder,
        largest_of_text=max(set(pieces.values()) - unreachable, default=0),
    )


def _texts(encoder: TextEncoder, description: Description, pieces: dict[str, int]) -> TokenTexts:
    decoder = description.get("decoder")
    kinds = part_types(decoder)
    if decoder is None:
        # Without a decoder the library puts spaces between pieces that say where spaces are.
        shown = part_types(description.get("pre_tokenizer"))
        if "ByteLevel" in shown:
            return byte_level_texts(pieces)
    elif decoder["type"] == "ByteLevel":
        return byte_level_texts(pieces)
    return probed_texts(encoder.decode, pieces, bytes_as_pieces="ByteFallback" in kinds)


def _opening(backend: Backend) -> tuple[int, ...]:
    """Return the ids that a tokenizer puts before a text when left to itself."""
    plain = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a", add_special_tokens=True).ids
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start])
    return ()
