"""TextSample: a text with its tokens, known by 8 digits of a hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class TextSample:
    """full_text: what is hashed. tokens: the string of each."""

    full_text: str
    tokens: Sequence[str]

    @cached_property
    def text_hash(self) -> str:
        """The first 8 hexadecimal digits of the SHA-256 of the text in UTF-8.

        Two of 77,000 texts share one with probability 1/2; ``BatchProcessingStorage`` refuses that.
        """
        return hashlib.sha256(self.full_text.encode()).hexdigest()[:8]

    def length(self) -> int:
        """Return the number of tokens."""
        return len(self.tokens)
