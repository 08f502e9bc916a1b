"""Default numbers: the statistics and rankings that a run has unless its settings say otherwise.

What they cost follows from how wide a run is, and so do their parameters here: together they are to
stay within 15 % of forward and encode at 65,536 features (``benchmarks/default_numbers.py``).
"""

import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from consumers.activations.measurements.registry import with_found_parameters
from consumers.models.language_model import LanguageModel
from consumers.plan import Plan, make_plan
from consumers.rankings.registry import RANKINGS, rankings
from consumers.runs.specs import DEFAULT, RunSpec
from consumers.sources.source import LoadedSource
from consumers.statistics.parameters import named
from consumers.statistics.registry import OPTIONAL, optional_statistics
from streams.bounds import shown
from streams.errors import RunError
from streams.records.measures import Measure, bare_name, measure, parameters_of
from streams.records.runs import RunRecord

log = logging.getLogger(__name__)

MAXIMUM, SHARED = "maximum", "shared"
RANKED = tuple(each.name.partition("@")[0] for each in RANKINGS)
_NARROW, _USUAL = 4096, 16_384
_FEWEST_SHARED, _MOST_SHARED, _SHARED_HITS = 50, 1000, 50 * 65_536


@dataclass(frozen=True, slots=True)
class Numbers:
    """Statistics beside those of every run, and rankings; both as records have them.

    by_default: bare names of those that nobody asked for.
    """

    statistics: tuple[Measure, ...]
    rankings: tuple[Measure, ...]
    by_default: frozenset[str] = frozenset()


def default_statistics(clusters: int) -> dict[str, dict[str, int | float]]:
    """Return the default statistics of a run of so many clusters, with their parameters.

    Of tokens a share of rows is looked at that is in inverse proportion to the clusters, and the
    state of all clusters together is at most about 300 MB.
    """
    cells = max(16, min(256, _power_of_two(2**21 // max(clusters, 1))))
    one_in = max(1, _power_of_two(clusters // 1024))
    return {
        "tokens": {"budget": min(128, 4 * cells), "one_in": one_in, "sketch": cells},
        "domains": {"budget": 64 if clusters <= _USUAL else 32},
        "row_maximum": {},
        "peak_position": {"bins": 32 if clusters <= _USUAL else 16},
        "position": {"bins": 32 if clusters <= _USUAL else 16},
        "place": {},
        "distribution": {},
        "health": {},
    }


def default_rankings(clusters: int, k: int) -> tuple[str, ...]:
    """Return the default rankings of a run of so many clusters: NAME, or NAME=K.

    k: examples of a cluster by other rankings.
    """
    narrow = clusters <= _NARROW
    return (
        MAXIMUM,
        f"random={min(k, 20 if narrow else 10)}",
        f"intervals={min(k, 3 if narrow else 1)}",
        f"{SHARED}={shared_rows(clusters)}",
    )


def shared_rows(clusters: int) -> int:
    """Return how many rows the ranking ``shared`` keeps of each of so many clusters.

    With k of them a cluster that is active in a share p of rows is known in the first k / p rows of
    the run. 1,000 make that 1,000 rows for every cluster, whatever its p, and cost 40 bytes each;
    the tables of all clusters together stay at about 140 MB, but of 50 rows each.
    """
    return max(_FEWEST_SHARED, min(_MOST_SHARED, _SHARED_HITS // max(clusters, 1)))


def usual_bucket_bytes(record_bytes: int) -> int:
    """Return the size that buckets are packed to, half a record.

    It bounds what a bucket can hold at most, and that is far more than it has where features are
    active at a few tokens of a row; what sums by key cost goes with the number of buckets that a
    batch touches.
    """
    return max(8 * 2**20, record_bytes // 2)


def numbers(wanted: RunSpec, clusters: int) -> Numbers:
    """Return what settings ask for in a run of so many clusters.

    Of a default statistic what stands beside its name comes first, then its table, then what is the
    default for that width. Raises RunError for names and parameters that are none.
    """
    without = set(wanted.without)
    if unknown := sorted(without - {DEFAULT, *OPTIONAL, *RANKED}):
        raise RunError(
            f"without {shown(unknown[0])}: take statistics, {', '.join(OPTIONAL)}, rankings, "
            f"{', '.join(RANKED)}, or {DEFAULT} for all that a run has by default"
        )
    statistics, ranked = default_statistics(clusters), default_rankings(clusters, wanted.k)
    if DEFAULT in without or DEFAULT not in wanted.statistics:
        statistics = {}
    if DEFAULT in without or DEFAULT not in wanted.rankings:
        ranked = (MAXIMUM,) * (DEFAULT in wanted.rankings)
    named_here = [each for each in wanted.statistics if named(each)[0] not in {DEFAULT, *without}]
    tables = {name: of for name, of in wanted.parameters.items() if name not in without}
    asked = {*tables, *(named(each)[0] for each in named_here)}
    for name, parameters in statistics.items():
        if name not in without:
            tables[name] = {**parameters, **tables.get(name, {})}
    rows = [each for each in wanted.rankings if _bare(each) not in {DEFAULT, *without}]
    known = {*map(_bare, rows), *without}
    more = [each for each in ranked if _bare(each) not in known]
    by_default = {*statistics, *map(_bare, more)} - {MAXIMUM, *asked, *without}
    return Numbers(
        optional_statistics(named_here, tables),
        rankings([*more, *rows], wanted.k),
        frozenset(by_default),
    )


def fitting(run: RunRecord, by_default: frozenset[str]) -> Plan:
    """Return the plan of the run without default numbers that its largest cluster has no room for.

    First ``shared`` keeps fewer rows. What is left out is said. Raises RunError where the run
    cannot be had without any of them.
    """
    steps = ("intervals",), ("random",), ("tokens", "domains"), (SHARED,), by_default
    fewer = _with_fewest_shared(run) if SHARED in by_default else run
    gone = set[str]()
    for base, step in ((run, ()), *((fewer, each) for each in ((), *steps))):
        gone |= by_default & set(step)
        tried = _without(base, gone)
        try:
            plan = make_plan(tried)
        except RunError:
            if gone == by_default:
                raise
        else:
            if tried.rankings != _without(run, gone).rankings:
                log.warning(
                    "the ranking shared keeps %d rows of a cluster, since the state of the largest "
                    "one would not fit one record (record_bytes) with more",
                    _FEWEST_SHARED,
                )
            if gone:
                log.warning(
                    "not by default, since the state of the largest cluster would not fit one "
                    "record (record_bytes): %s",
                    ", ".join(sorted(gone)),
                )
            return plan
    raise AssertionError("the last step leaves all out")


def measurable(
    chosen: Numbers, model: LanguageModel, loaded: Sequence[LoadedSource], context: int
) -> Numbers:
    """Return numbers with the parameters that follow from model and sources.

    What cannot be measured is left out, which is said, if nobody asked for it; else RunError.
    """
    found = list[Measure]()
    for each in chosen.statistics:
        try:
            found += with_found_parameters((each,), model, loaded, context)
        except RunError as error:
            if bare_name(each) not in chosen.by_default:
                raise
            log.warning("%s is left out: %s", bare_name(each), error)
    return replace(chosen, statistics=tuple(found))


def _with_fewest_shared(run: RunRecord) -> RunRecord:
    return replace(
        run,
        rankings=tuple(
            measure(each.name, k=min(_FEWEST_SHARED, parameters_of(each)["k"]))
            if bare_name(each) == SHARED
            else each
            for each in run.rankings
        ),
    )


def _without(run: RunRecord, names: Set[str]) -> RunRecord:
    return replace(
        run,
        statistics=tuple(each for each in run.statistics if bare_name(each) not in names),
        rankings=tuple(each for each in run.rankings if bare_name(each) not in names),
    )


def _bare(ranking: str) -> str:
    return ranking.partition("=")[0]


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is not above a number, 0 for 0."""
    return 1 << (number.bit_length() - 1) if number > 0 else 0
