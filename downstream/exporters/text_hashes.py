"""Short hashes that name texts: 8 hexadecimal digits, 16 where two texts would share 8."""

import hashlib
from collections.abc import Iterator

import numpy as np

from downstream.exporters.samples import SampleIds
from downstream.exporters.token_strings import TokenStrings
from streams.arrays import I64

_DIGITS = 8
_PAIR = np.dtype([("text", np.uint32), ("ids", np.uint32)])


class TextHashes:
    """The hash of each sample's text; 8 bytes of memory a sample.

    Samples of the same token ids share one. Others never do: where their texts have the same first
    8 digits, 8 digits of a hash of the token ids follow.
    """

    def __init__(self, samples: SampleIds, strings: TokenStrings) -> None:
        self._pairs = np.empty(len(samples), _PAIR)
        for number in range(len(samples)):
            ids = samples.ids(number)
            text = "".join(strings.row(ids.tolist()))
            self._pairs[number] = (_first(text.encode()), _first(ids.tobytes()))
        different, first = np.unique(self._pairs, return_index=True)
        texts, times = np.unique(different["text"], return_counts=True)
        self._shared = texts[times > 1]
        self._first: I64 = np.sort(first)

    @property
    def lengthened(self) -> int:
        """How many hashes of 8 digits would have named several texts."""
        return len(self._shared)

    def of(self, number: int) -> str:
        """Return the hash of a sample's text, by the sample's number."""
        text, ids = (int(part) for part in self._pairs[number])
        found = f"{text:0{_DIGITS}x}"
        return f"{found}{ids:0{_DIGITS}x}" if self._is_shared(text) else found

    def distinct(self) -> Iterator[int]:
        """Yield the number of one sample of each text."""
        yield from self._first.tolist()

    def _is_shared(self, text: int) -> bool:
        at = int(np.searchsorted(self._shared, text))
        return at < len(self._shared) and int(self._shared[at]) == text


def _first(data: bytes) -> int:
    return int(hashlib.sha256(data).hexdigest()[:_DIGITS], 16)
