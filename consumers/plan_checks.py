"""What a run record must hold for a plan to follow from it: sizes and members, checked first."""

from collections.abc import Sequence

import numpy as np

from consumers.rankings.ranking import Ranking
from consumers.statistics.parameters import check_parameters
from consumers.statistics.statistic import Statistic
from streams.bounds import MAX_CLUSTERS, check_fields, shown
from streams.errors import RunError, ShapeError
from streams.records.measures import check_known
from streams.records.runs import Clustering, RunRecord


def check_run(run: RunRecord, statistics: Sequence[Statistic], rankings: Sequence[Ranking]) -> None:
    """Raise RunError, in one line that names the run, for numbers outside their bounds.

    Also for parts that do not fit each other: members that are none, or more sizes than labels.
    statistics, rankings: those that a record may name.
    """
    try:
        check_fields(run)
        statistic_names = [name for each in statistics for name in each.names]
        _check(run, statistic_names, [each.name for each in rankings])
        for each in statistics:
            if each.names[0] in {measure.name for measure in run.statistics}:
                check_parameters(run, each.names[0], each.parameters)
    except ShapeError as error:
        raise RunError(f"run {shown(run.name)} cannot be computed: {error}") from error


def _check(run: RunRecord, statistics: Sequence[str], rankings: Sequence[str]) -> None:
    check_known(run.name, run.statistics, statistics, "statistic")
    check_known(run.name, run.rankings, rankings, "ranking")
    _ = run.edges, run.sum_bits  # RunError where no statistic has them
    _expect(len(set(run.ranking_names)) == len(run.ranking_names), "a ranking more than once")
    for name, values, stop in (
        ("masked_ids", run.masked_ids, run.model.vocabulary),
        ("masked_positions", run.masked_positions, run.context),
    ):
        inside = values.ndim == 1 and bool(((values >= 0) & (values < stop)).all())
        _expect(inside, f"{name} outside 0 to {stop - 1:,}")
    for source in run.sources:
        _expect(
            all(number < source.components for number in source.dropped),
            f"a dropped component that source {source.name!r} does not have",
        )
    components = np.array([source.components for source in run.sources], np.int64)
    _expect(components.sum() <= MAX_CLUSTERS, f"more than {MAX_CLUSTERS:,} components")
    singles = sum(source.components for source in run.sources if source.singles)
    clusters = singles + sum(len(clustering.labels) for clustering in run.clusterings)
    _expect(clusters <= MAX_CLUSTERS, f"more than {MAX_CLUSTERS:,} clusters")
    for clustering in run.clusterings:
        _check_members(clustering, components)


def _check_members(
    clustering: Clustering, components: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> None:
    sizes, source, index = (
        np.asarray(column, np.int64)
        for column in (clustering.sizes, clustering.source, clustering.index)
    )
    what = f"a clustering {clustering.name!r} whose"
    _expect(sizes.shape == (len(clustering.labels),), f"{what} sizes are not one per label")
    _expect(bool((sizes >= 0).all()), f"{what} sizes are negative")
    fits = source.shape == index.shape == (int(sizes.sum()),)
    _expect(fits, f"{what} members are not as many as its sizes say")
    known = (source >= 0) & (source < len(components))
    _expect(bool(known.all()), f"{what} members are of sources that the run does not have")
    there = (index >= 0) & (index < components[source])
    _expect(bool(there.all()), f"{what} members do not exist")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ShapeError(f"its record has {otherwise}")
