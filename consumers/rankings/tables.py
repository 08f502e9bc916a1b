"""Tables of a run's rankings: how many a cluster has, in which order, and of how many hits."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.rankings.ranking import Ranking
from streams.records.measures import bare_name, parameters_of
from streams.records.runs import RunRecord


@dataclass(frozen=True, slots=True)
class RankingTables:
    """A ranking's place among the tables of a cluster: first to stop - 1, of k hits each."""

    ranking: Ranking
    name: str
    k: int
    first: int
    stop: int

    @property
    def most_hits(self) -> int:
        """The most hits that a cluster has by it."""
        return (self.stop - self.first) * self.k


def ranking_tables(run: RunRecord, known: Sequence[Ranking]) -> tuple[RankingTables, ...]:
    """Return the tables of each ranking of a run, all of which are known."""
    by_name = {each.name: each for each in known}
    found, first = [], 0
    for given in run.rankings:
        ranking = by_name[given.name]
        stop = first + ranking.tables(run.edges)
        k = int(parameters_of(given)["k"])
        found.append(RankingTables(ranking, bare_name(given), k, first, stop))
        first = stop
    return tuple(found)
