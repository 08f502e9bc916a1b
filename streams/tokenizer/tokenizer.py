"""The model's own tokenizer at work: texts into ids, and which ids go around them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from tokenizers import Tokenizer as Backend

from streams.arrays import U32
from streams.corpus import Vocabulary
from streams.errors import SettingsError
from streams.tokenizer.description import Description, describe, rebuild, tokenizer_id
from streams.tokenizer.token_text import token_bytes

Bos = Literal["auto", "always", "never", "prefer"]
BOS_POLICIES: tuple[Bos, ...] = get_args(Bos)


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer that reads every text as text: what spells a special token becomes no such id.

    location: its name or folder. id: a hash of what it does. size: all ids are below it. special:
    the ids that it calls special. names: ids by name ("bos", "eos", "pad", ...). opening: the ids
    that it puts before a text by itself. tokens: the bytes of every id.
    """

    location: str
    id: str
    size: int
    special: tuple[int, ...]
    names: dict[str, int]
    opening: tuple[int, ...]
    tokens: tuple[bytes, ...]
    backend: Backend

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
        """Return the id that fills rows; the mask hides it, so any other would do as well."""
        return next((self.names[n] for n in ("pad", "eos", "bos") if n in self.names), 0)

    def vocabulary(self, corpus: str) -> Vocabulary:
        """Return the bytes of every id, for readers who have no tokenizer."""
        return Vocabulary(corpus, self.tokens)

    def encode(self, texts: Sequence[str]) -> list[U32]:
        """Return the ids of each text, without special tokens before, after or in it."""
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.uint32) for encoding in encodings]


def make_tokenizer(location: str, backend: Backend, names: dict[str, int]) -> Tokenizer:
    """Return a tokenizer that does what a loaded one does. names: ids of its named tokens."""
    backend.no_truncation()
    backend.no_padding()
    description = describe(backend)
    special = {token["id"] for token in description["added_tokens"] if token["special"]}
    return Tokenizer(
        location=location,
        id=tokenizer_id(description),
        size=max(backend.get_vocab(with_added_tokens=True).values()) + 1,
        special=tuple(sorted(special | set(names.values()))),
        names=names,
        opening=_opening(backend),
        tokens=token_bytes(backend, description),
        backend=_deafen(backend, description),
    )


def _opening(backend: Backend) -> tuple[int, ...]:
    """Return the ids that a tokenizer puts before a text when left to itself."""
    plain = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a", add_special_tokens=True).ids
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start])
    return ()


def _deafen(backend: Backend, description: Description) -> Backend:
    """Return a backend that hears no special token in a text that spells one.

    The library's own switch keeps added tokens from being cut out of a text before the model
    sees it. A model that looks whole words up can still find them in its vocabulary, so there
    they get names that no text can hold.
    """
    model = description["model"]
    if model["type"] != "BPE" or model.get("ignore_merges"):
        backend = _rename_special(backend, description)
    backend.encode_special_tokens = True
    return backend


def _rename_special(backend: Backend, description: Description) -> Backend:
    vocabulary = description["model"]["vocab"]
    pieces = vocabulary if isinstance(vocabulary, dict) else {piece for piece, _ in vocabulary}
    unknown = description["model"].get("unk_token")
    names = {
        token["content"]: f"\U0010ffff{secrets.token_hex(16)}"
        for token in description["added_tokens"]
        if token["special"] and token["content"] in pieces and token["content"] != unknown
    }
    return rebuild(description, names) if names else backend
