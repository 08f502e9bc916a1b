"""From what was measured to seconds for all features, ratios, and whether the goals are met."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.peers.job import Found, Part
from benchmarks.peers.peers import GOALS, Goal
from benchmarks.timing import Spread, ratio

MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Compared:
    """One measurement of a tool between two of Millrace."""

    tool: str
    options: str
    more: str
    without: str
    shape: str
    samples: int
    found: Found
    millrace: Sequence[Found]


def seconds(parts: Sequence[Part], part: str = "", *, both: bool = False) -> float:
    """Return wall seconds for all features. both: only what Millrace makes, too."""
    return sum(p.seconds * p.times for p in _chosen(parts, part, both))


def cpu(parts: Sequence[Part], part: str = "", *, both: bool = False) -> float:
    """Return processor seconds for all features, as ``seconds`` does."""
    return sum(p.cpu * p.times for p in _chosen(parts, part, both))


def agreement(found: Found, reference: Found) -> dict[str, float]:
    """Return the share of features whose numbers are those of the reference.

    highest: the largest activation, within its resolution and 0.001 of it. fired: the tokens at
    which it fires, within one (a share printed with five digits says no more).
    """
    place = {feature: index for index, feature in enumerate(reference.features)}
    at = [place[feature] for feature in found.features]
    shares = {}
    if found.highest:
        limits = [found.resolution + 0.001 * abs(reference.highest[i]) for i in at]
        near = [
            abs(value - reference.highest[i]) <= limit
            for value, i, limit in zip(found.highest, at, limits, strict=True)
        ]
        shares["highest"] = sum(near) / len(near)
    if found.fired:
        same = [
            abs(count - reference.fired[i]) <= 1 for count, i in zip(found.fired, at, strict=True)
        ]
        shares["fired"] = sum(same) / len(same)
    return shares


def row(one: Compared) -> dict[str, Any]:
    """Return a row of the report."""
    ours = Spread(tuple(seconds(found.parts) for found in one.millrace))
    theirs = seconds(one.found.parts)
    same = seconds(one.found.parts, both=True)
    ours_cpu = sum(cpu(found.parts) for found in one.millrace) / len(one.millrace)
    memories = [found.memory for found in one.millrace if found.memory is not None]
    loads = [found.others for found in one.millrace if found.others is not None]
    return {
        "tool": one.tool,
        "options": one.options,
        "shape": one.shape,
        "samples": one.samples,
        "seconds, all features": theirs,
        "Millrace seconds": ours,
        "times Millrace": _times(theirs, ours),
        "times Millrace, common outputs only": _times(same, ours),
        "times Millrace, processor time": cpu(one.found.parts) / ours_cpu,
        "memory over start (MiB)": _mebi(one.found.memory),
        "Millrace memory (MiB)": _mebi(max(memories, default=None)),
        "others' load": _share(one.found.others),
        "others' load on Millrace": _share(max(loads, default=None)),
        "scaled from": one.found.scaled,
        "agreement": ", ".join(
            f"{name} {share:.1%}" for name, share in agreement(one.found, one.millrace[0]).items()
        ),
    }


def stage_rows(one: Compared) -> list[dict[str, Any]]:
    """Return a row for each stage of the tool, and of the run of Millrace before it."""
    names = (f"{one.tool}, {one.options}", f"Millrace before {one.tool}")
    return [
        {
            "tool": name,
            "shape": one.shape,
            "samples": one.samples,
            "stage": part.name,
            "seconds of one": part.seconds,
            "times": part.times,
            "seconds": part.seconds * part.times,
            "both make it": "yes" if part.ours else "no",
        }
        for name, found in zip(names, (one.found, one.millrace[0]), strict=True)
        for part in found.parts
    ]


def difference_rows(compared: Sequence[Compared]) -> list[dict[str, str]]:
    """Return a row for each variant: what one of the two makes and the other does not."""
    rows = {
        (one.tool, one.options): {
            "tool": one.tool,
            "options": one.options,
            "it makes, Millrace's snapshot does not": one.more,
            "Millrace's snapshot holds, it does not": one.without,
        }
        for one in compared
    }
    return list(rows.values())


def goal_rows(compared: Sequence[Compared], goals: Sequence[Goal] = GOALS) -> list[dict[str, Any]]:
    """Return a row for each goal; one that nothing was measured for is not reached."""
    rows = []
    for goal in goals:
        ratios = [_median_ratio(one, goal.part) for one in compared if _concerns(goal, one)]
        reached = median(ratios) if ratios else None
        rows.append(
            {
                "goal": f"{goal.tool}, {goal.options or 'all options'}{_named(goal.part)}",
                "shape": goal.shape,
                "samples": goal.samples,
                "at least": goal.ratio,
                "measured": "not measured" if reached is None else reached,
                "reached": "yes" if reached is not None and reached >= goal.ratio else "no",
            }
        )
    return rows


def _concerns(goal: Goal, one: Compared) -> bool:
    place = (goal.tool, goal.options or one.options, goal.shape, goal.samples)
    return place == (one.tool, one.options, one.shape, one.samples)


def behind(compared: Sequence[Compared]) -> list[Compared]:
    """Return those in which Millrace does not lead on the common outputs."""
    return [one for one in compared if _times_both(one) <= 1]


def _times_both(one: Compared) -> float:
    ours = Spread(tuple(seconds(found.parts) for found in one.millrace))
    return _times(seconds(one.found.parts, both=True), ours).median


def _median_ratio(one: Compared, part: str) -> float:
    ours = Spread(tuple(seconds(found.parts) for found in one.millrace))
    return _times(seconds(one.found.parts, part), ours).median


def _chosen(parts: Sequence[Part], part: str, both: bool) -> list[Part]:
    return [p for p in parts if p.name.startswith(part) and (p.ours or not both)]


def _times(theirs: float, ours: Spread) -> Spread:
    return ratio(Spread((theirs,) * len(ours.values)), ours)


def _named(part: str) -> str:
    return f", its {part} alone" if part else ""


def _share(load: float | None) -> str:
    return "not told" if load is None else f"{load:.0%}"


def _mebi(count: int | None) -> float | str:
    return "not told" if count is None else count / MEBI
