"""What a list of clusters is asked for: search, bounds, order, page; all of it in the address."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from downstream.dashboard.paging import MOST, PAGE, number_of

Sort = Literal["order", "label", "density", "max", "mean", "members"]
Show = Literal["all", "live", "dead"]
Marked = Literal["", "labelled", "starred"]
RANGES = ("density", "max", "mean")
"""Numbers of clusters that a list can be bounded by."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number of clusters, both included."""

    name: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Query:
    """What a list shows."""

    search: str = ""
    sort: Sort = "order"
    descending: bool = False
    show: Show = "all"
    marked: Marked = ""
    ranges: tuple[Range, ...] = ()
    page: int = 1
    limit: int = PAGE

    def address(self, **changes: object) -> dict[str, object]:
        """Return the parameters of an address that asks this with changes; defaults left out."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        bounds = {}
        for each in asked.ranges:
            bounds[f"{each.name}_from"] = "" if math.isinf(each.low) else f"{each.low:g}"
            bounds[f"{each.name}_to"] = "" if math.isinf(each.high) else f"{each.high:g}"
        return {
            "q": asked.search,
            "sort": "" if asked.sort == "order" else asked.sort,
            "down": "1" if asked.descending else "",
            "show": "" if asked.show == "all" else asked.show,
            "marked": asked.marked,
            **bounds,
            "page": "" if asked.page == 1 else asked.page,
            "limit": "" if asked.limit == PAGE else asked.limit,
        }

    def order_address(self) -> dict[str, object]:
        """Return the parameters by which another page knows this list and its order."""
        return self.address(page=1, limit=PAGE)

    def sorted_by(self, sort: Sort) -> dict[str, object]:
        """Return the parameters that sort by a column; the same one again turns round."""
        again = not self.descending if sort == self.sort else sort not in ("order", "label")
        return self.address(sort=sort, descending=again, page=1)

    def bound(self, name: str) -> Range:
        """Return the bounds of a number."""
        return next((each for each in self.ranges if each.name == name), Range(name))


def query_of(asked: Mapping[str, str]) -> Query:
    """Return the query that an address asks; what makes no sense counts as not said."""
    sorts: dict[str, Sort] = {name: name for name in get_args(Sort)}
    shows: dict[str, Show] = {name: name for name in get_args(Show)}
    marks: dict[str, Marked] = {name: name for name in get_args(Marked)}
    ranges = (
        Range(
            name,
            _float(asked.get(f"{name}_from", ""), -math.inf),
            _float(asked.get(f"{name}_to", ""), math.inf),
        )
        for name in RANGES
    )
    return Query(
        search=asked.get("q", "").strip()[:200],
        sort=sorts.get(asked.get("sort", ""), "order"),
        descending=asked.get("down") == "1",
        show=shows.get(asked.get("show", ""), "all"),
        marked=marks.get(asked.get("marked", ""), ""),
        ranges=tuple(each for each in ranges if each != Range(each.name)),
        page=number_of(asked.get("page", ""), 1),
        limit=min(number_of(asked.get("limit", ""), PAGE), MOST),
    )


def _float(text: str, otherwise: float) -> float:
    try:
        found = float(text[:40])
    except ValueError:
        return otherwise
    return otherwise if math.isnan(found) or math.isinf(found) else found
