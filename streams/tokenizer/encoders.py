"""What turns texts into ids and ids into text: the Rust library's tokenizers, and Python's own."""

import secrets
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer as Backend

from streams.arrays import I64, U32
from streams.tokenizer.description import Description, rebuild


class TextEncoder(Protocol):
    """A tokenizer at work."""

    def encode(self, texts: Sequence[str], special: bool = False) -> list[U32]:
        """Return the ids of each text, nothing put around it.

        special: a spelt special token is that token; else it is text like any other.
        """

    def encode_with_places(self, text: str) -> tuple[U32, I64]:
        """Return the ids of a text whose special tokens are meant, and where each stands.

        Places are the characters that a token stands for, first and last + 1, [token, 2]. Raises
        ValueError if the tokenizer does not tell them.
        """

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of ids, special tokens spelt out."""

    def id_of(self, token: str) -> int | None:
        """Return the id of a token by its spelling, None if there is none."""


class FastEncoder:
    """A tokenizer of the ``tokenizers`` library.

    The library's own switch keeps added tokens from being cut out of a text before the model sees
    it. A model that looks whole words up can still find them in its vocabulary, so there they get
    names that no text can hold.
    """

    def __init__(
        self, backend: Backend, description: Description, unreachable: frozenset[int]
    ) -> None:
        self._backend = backend
        self._of_text = backend
        model = description["model"]
        if model["type"] != "BPE" or model.get("ignore_merges"):
            self._of_text = _renamed(backend, description, unreachable)
        for each in (self._backend, self._of_text):
            each.no_truncation()
            each.no_padding()

    def encode(self, texts: Sequence[str], special: bool = False) -> list[U32]:
        """Return the ids of each text."""
        backend = self._backend if special else self._of_text
        backend.encode_special_tokens = not special
        encodings = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.uint32) for encoding in encodings]

    def encode_with_places(self, text: str) -> tuple[U32, I64]:
        """Return the ids of a text and where each stands."""
        self._backend.encode_special_tokens = False
        found = self._backend.encode(text, add_special_tokens=False)
        places = np.array(found.offsets, np.int64).reshape(-1, 2)
        return np.array(found.ids, np.uint32), places

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of ids."""
        found: list[str] = self._backend.decode_batch(list(rows), skip_special_tokens=False)
        return found

    def id_of(self, token: str) -> int | None:
        """Return the id of a token."""
        number: int | None = self._backend.token_to_id(token)
        return number


def _renamed(backend: Backend, description: Description, unreachable: frozenset[int]) -> Backend:
    vocabulary = description["model"]["vocab"]
    pieces = vocabulary if isinstance(vocabulary, dict) else {piece for piece, _ in vocabulary}
    names = {
        token["content"]: f"\U0010ffff{secrets.token_hex(16)}"
        for token in description["added_tokens"]
        if token["id"] in unreachable and token["content"] in pieces
    }
    return rebuild(description, names) if names else backend


class PythonEncoder:
    """A tokenizer of transformers that is written in Python.

    special: what spells its special tokens. The switch that keeps these from being cut out of a
    text keeps others as well, so it is used only where a text spells one.
    """

    def __init__(self, loaded: Any, special: Sequence[str]) -> None:
        self._loaded = loaded
        self._special = special

    def encode(self, texts: Sequence[str], special: bool = False) -> list[U32]:
        """Return the ids of each text."""
        loaded = self._loaded
        found = []
        for text in texts:
            as_text = not special and any(token in text for token in self._special)
            tokens = loaded.tokenize(text, split_special_tokens=as_text) if text else []
            found.append(np.array(loaded.convert_tokens_to_ids(tokens), np.uint32))
        return found

    def encode_with_places(self, text: str) -> tuple[U32, I64]:
        """Refuse: these tokenizers keep no places."""
        raise ValueError("a tokenizer written in Python does not tell where its tokens stand")

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of ids."""
        return [self._loaded.decode(list(row), clean_up_tokenization_spaces=False) for row in rows]

    def id_of(self, token: str) -> int | None:
        """Return the id of a token."""
        number: int | None = self._loaded.get_vocab().get(token)
        return number
