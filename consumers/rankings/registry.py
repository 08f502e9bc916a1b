"""The rankings that there are, and how settings name them: ``maximum``, ``random=20``."""

from collections.abc import Sequence
from typing import get_args

from consumers.rankings.intervals import Intervals
from consumers.rankings.last import Last
from consumers.rankings.maximum import Maximum
from consumers.rankings.mean import Mean
from consumers.rankings.minimum import Minimum
from consumers.rankings.random import Random
from consumers.rankings.ranking import Ranking
from consumers.rankings.shared import Shared
from consumers.rankings.sum import Sum
from streams.bounds import K, fault
from streams.errors import RunError
from streams.records.measures import Measure, measure

RANKINGS: tuple[Ranking, ...] = (
    Maximum(),
    Last(),
    Mean(),
    Sum(),
    Minimum(),
    Random(),
    Intervals(),
    Shared(),
)


def rankings(
    names: Sequence[str] = ("maximum",), k: int = 100, known: Sequence[Ranking] = RANKINGS
) -> tuple[Measure, ...]:
    """Return the rankings of these names for a run record.

    names: NAME or NAME=K. k: rows per table where neither name nor ranking says otherwise. Raises
    RunError for one that is not known or named twice, and for none at all.
    """
    by_name = {each.name.partition("@")[0]: each for each in known}
    wanted = [name.partition("=") for name in names]
    bare = [name for name, _, _ in wanted]
    if not bare or not set(bare) <= set(by_name) or len(set(bare)) < len(bare):
        raise RunError(
            f"rankings {', '.join(names) or 'are empty'}: take each of {', '.join(by_name)} "
            "at most once, as NAME or NAME=K"
        )
    found = []
    for name, equals, number in wanted:
        ranking = by_name[name]
        usual = k if ranking.usual_k is None else ranking.usual_k
        found.append(measure(ranking.name, k=_number(name, number) if equals else int(usual)))
    return tuple(found)


def _number(name: str, text: str) -> int:
    plain = text.isascii() and text.isdigit() and len(text) < 9
    if not plain or fault(int(text), get_args(K)[1:]):
        raise RunError(f"ranking {name}={text}: K is a number of rows, 1 to 131,072")
    return int(text)
