"""What a score of a cluster is, and the table of one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from downstream.analysis.rates import difference_interval, wilson
from streams.snapshots.tables import Column, TableForm

Bounded = tuple[float, float, float]
"""A number and the ends of its interval."""

LEVEL = 0.05
"""One minus the confidence of the intervals."""


@dataclass(frozen=True, slots=True)
class Score:
    """A score with the ends of its interval. active, silent: contexts it is from; hard: of these.

    shuffled: the score of another cluster's label on these contexts, NaN where none was tried.
    """

    value: float
    low: float
    high: float
    active: int
    silent: int
    hard: int
    shuffled: float = float("nan")


def score_form(name: str, what: str, of_label: bool = True) -> TableForm:
    """Return the form of a score's table.

    what: it is, for people. of_label: whether it judges a label, so that it has a baseline.
    """
    shuffled = Column(
        f"{name}_shuffled", pa.float64(), "the same with the label of another cluster, NaN where "
        "that was not tried", "1", "sampled"
    )  # fmt: skip
    return TableForm(
        f"{name}_scores",
        f"The score `{name}` of each cluster, from held-out contexts.",
        ("cluster",),
        (
            Column("cluster", pa.int32(), "cluster"),
            Column(name, pa.float64(), what, "1", "sampled"),
            Column("interval", pa.list_(pa.float64()), "ends of its 95% interval", "1", "sampled"),
            *((shuffled,) if of_label else ()),
            Column("active", pa.int32(), "held-out contexts in which it is active", "contexts"),
            Column("silent", pa.int32(), "those in which it is verified to be active nowhere",
                   "contexts"),
            Column("hard", pa.int32(), "how many of the silent ones are hard", "contexts"),
        ),
    )  # fmt: skip


def score_table(form: TableForm, scores: Mapping[int, Score]) -> pa.Table:
    """Return the table of scores by cluster."""
    clusters = sorted(scores)
    ordered = [scores[cluster] for cluster in clusters]
    name = form.columns[1].name
    columns = {
        "cluster": clusters,
        name: [one.value for one in ordered],
        "interval": [[one.low, one.high] for one in ordered],
        f"{name}_shuffled": [one.shuffled for one in ordered],
        "active": [one.active for one in ordered],
        "silent": [one.silent for one in ordered],
        "hard": [one.hard for one in ordered],
    }
    return form.table({column.name: columns[column.name] for column in form.columns})


def balanced_accuracy(hits: int, active: int, alarms: int, silent: int) -> Bounded:
    """Return the mean of the shares that were right on either side, and its interval.

    hits, alarms: of the active and of the silent contexts that were taken for active ones. The
    interval follows from that of the difference of the two shares, Newcombe's method 10.
    """
    difference = hits / active - alarms / silent
    ends = difference_interval(np.array([hits]), active, np.array([alarms]), silent, LEVEL)
    low, high = ((1 + float(end[0])) / 2 for end in ends)
    return (1 + difference) / 2, low, high


def accuracy(right: int, of: int) -> Bounded:
    """Return a share with Wilson's interval."""
    ends = wilson(np.array([right]), of, LEVEL)
    return right / of, float(ends[0][0]), float(ends[1][0])
