"""Near-duplicate contexts: rows that share most of their runs of five tokens.

The share is exact (Jaccard index of the sets of such runs: Broder 1997), which for the rows of a
table takes less than a sketch of it would.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

SHINGLE = 5
SIMILARITY = 0.5


def folded(rows: Sequence[Sequence[int]], similarity: float = SIMILARITY) -> list[int]:
    """Return of each row, by token ids, the row that it is a near-duplicate of, or itself.

    Greedy, in order: a row is folded under the first of those before it that stand for themselves
    and share at least ``similarity`` of the runs of tokens with it.
    """
    under: list[int] = []
    holders: dict[tuple[int, ...], list[int]] = defaultdict(list)
    sizes: dict[int, int] = {}
    for number, ids in enumerate(rows):
        runs = _runs(ids)
        shared = Counter(first for run in runs for first in holders.get(run, ()))
        like = (
            first
            for first, both in sorted(shared.items())
            if both / (len(runs) + sizes[first] - both) >= similarity
        )
        under.append(next(like, number))
        if under[number] == number:
            sizes[number] = len(runs)
            for run in runs:
                holders[run].append(number)
    return under


def _runs(ids: Sequence[int]) -> set[tuple[int, ...]]:
    """Return all runs of so many tokens; of a shorter row the whole."""
    last = max(len(ids) - SHINGLE, 0)
    return {tuple(ids[at : at + SHINGLE]) for at in range(last + 1)}
