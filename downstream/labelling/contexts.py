"""Contexts of one cluster: those a labeller is shown, and those held out to score its label."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TypeVar

from downstream.labelling.held_out import is_held_out
from downstream.reading.bands import RANKING as INTERVALS
from downstream.reading.cluster import Cluster
from downstream.reading.examples import Example
from downstream.reading.near_duplicates import folded
from downstream.reading.silent import RANKING as SHARED

_POOL, _SILENT_POOL, _BANDS = 60, 60, 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ContextCounts:
    """How many contexts are shown of each kind, and held out of each side.

    top: max-activating. interval: of the other bands of activation. silent: in which the cluster is
    verified to be active nowhere, every other one hard. held_out: active, and as many silent.
    """

    top: int = 10
    interval: int = 8
    silent: int = 6
    held_out: int = 10


@dataclass(frozen=True, slots=True)
class ClusterContexts:
    """What was chosen of one cluster.

    held_active, held_silent: for scoring. hard [held_silent]: which of these are hard. shown to a
    labeller are the other three.
    """

    top: tuple[Example, ...]
    interval: tuple[Example, ...]
    silent: tuple[Example, ...]
    held_active: tuple[Example, ...]
    held_silent: tuple[Example, ...]
    hard: tuple[bool, ...]

    @property
    def shown(self) -> tuple[str, ...]:
        """The samples that a labeller sees."""
        return tuple(each.sample for each in (*self.top, *self.interval, *self.silent))

    @property
    def held_out(self) -> tuple[str, ...]:
        """The samples that it does not see."""
        return tuple(each.sample for each in (*self.held_active, *self.held_silent))


def choose_contexts(
    cluster: Cluster, rankings: Sequence[str], counts: ContextCounts = ContextCounts()
) -> ClusterContexts:
    """Return the contexts of a cluster; which are held out is settled by ``is_held_out`` alone.

    rankings: those of the run. Without ``intervals`` there are none of the other bands, without
    ``shared`` no silent ones. A held-out context that is a near-duplicate of a shown one is left
    out. Raises SnapshotError if the snapshot cannot be read or is not final.
    """
    best = list(cluster.examples(k=_POOL, fold=True))
    bands = cluster.bands(_BANDS, _POOL // _BANDS) if INTERVALS in rankings else []
    between = list(_in_turn(band.examples for band in bands[1:]))
    random, hard = list[Example](), list[Example]()
    if SHARED in rankings:
        random = list(cluster.silent(_SILENT_POOL))
        hard = list(cluster.silent(_SILENT_POOL, hard=True))
    shown_top = _chosen(best, counts.top, False)
    shown_between = _chosen(between, counts.interval, False, shown_top)
    shown_silent = _chosen(_in_turn([hard, random]), counts.silent, False)
    # Bands take turns with the best, so that a label is not scored on the strongest alone.
    active = _in_turn([band.examples for band in bands] or [best])
    held = _apart(_chosen(active, _POOL, True), [*shown_top, *shown_between])
    silent = _apart(_chosen(_in_turn([hard, random]), 2 * _POOL, True), shown_silent)
    hardest = {each.sample for each in _chosen(hard, counts.held_out, True)}
    silent = silent[: counts.held_out]
    return ClusterContexts(
        tuple(shown_top),
        tuple(shown_between),
        tuple(shown_silent),
        tuple(held[: counts.held_out]),
        tuple(silent),
        tuple(each.sample in hardest for each in silent),
    )


def _chosen(
    examples: Iterable[Example], most: int, held_out: bool, without: Sequence[Example] = ()
) -> list[Example]:
    """Return the first examples that are held out, or the first that are not, each sample once."""
    found: dict[str, Example] = {}
    taken = {each.sample for each in without}
    for each in examples:
        if len(found) == most:
            break
        if is_held_out(each.sample) == held_out and each.sample not in taken:
            found.setdefault(each.sample, each)
    return list(found.values())


def _apart(examples: Sequence[Example], shown: Sequence[Example]) -> list[Example]:
    """Return the examples that are no near-duplicates of shown ones, nor of one another."""
    every = [*shown, *examples]
    under = folded([each.token_ids for each in every])
    return [every[at] for at in range(len(shown), len(every)) if under[at] == at]


def _in_turn(lists: Iterable[Iterable[T]]) -> Iterator[T]:
    turns = chain.from_iterable(zip_longest(*lists))
    return (each for each in turns if each is not None)
