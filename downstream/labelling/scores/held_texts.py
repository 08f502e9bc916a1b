"""Held-out contexts of a cluster as texts, in an order that a hash of their samples gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from downstream.labelling.context_text import context_text, strong_tokens, window_of
from downstream.labelling.contexts import ClusterContexts
from downstream.reading.examples import Example

LEAST = 4
"""Contexts on either side that a score needs."""


@dataclass(frozen=True, slots=True)
class HeldTexts:
    """Contexts of one cluster. active, hard [text]: of each. marked: the same texts with marks at
    the tokens at which the cluster is active, in silent ones at others."""

    plain: Sequence[str]
    marked: Sequence[str]
    active: Sequence[bool]
    hard: Sequence[bool]
    samples: Sequence[str]

    @property
    def enough(self) -> bool:
        """Whether both sides have as many contexts as a score needs."""
        return min(sum(self.active), len(self.active) - sum(self.active)) >= LEAST


def held_texts(contexts: ClusterContexts) -> HeldTexts:
    """Return the held-out contexts of a cluster, mixed by hash."""
    strong = [len(strong_tokens(each)) for each in contexts.held_active]
    usual = sorted(strong)[len(strong) // 2] if strong else 1
    peaks = {each.token_ids[each.peak] for each in (*contexts.top, *contexts.held_active)}
    rows = [(each, True, False) for each in contexts.held_active]
    rows += [(e, False, h) for e, h in zip(contexts.held_silent, contexts.hard, strict=True)]
    rows.sort(key=lambda row: _hash(row[0].sample))
    plain, marked = [], []
    for example, active, _ in rows:
        marks = strong_tokens(example) if active else _wrong_tokens(example, peaks, usual)
        window = window_of(example, None if active else min(marks, default=None))
        plain.append(context_text(example, window))
        marked.append(context_text(example, window, marks))
    return HeldTexts(
        plain,
        marked,
        [active for _, active, _ in rows],
        [hard for _, _, hard in rows],
        [example.sample for example, _, _ in rows],
    )


def _wrong_tokens(example: Example, peaks: set[int], count: int) -> set[int]:
    """Return tokens of a silent context to mark: first those at which the cluster peaks elsewhere,
    then others, by a hash of sample and position."""
    order = sorted(
        range(len(example.token_ids)),
        key=lambda at: (example.token_ids[at] not in peaks, _hash(example.sample, at)),
    )
    return set(order[:count])


def _hash(sample: str, at: int = 0) -> bytes:
    data = bytes.fromhex(sample) + at.to_bytes(4, "big")
    return blake2b(data, digest_size=8, person=b"scored").digest()
