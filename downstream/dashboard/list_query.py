"""What a list of clusters is asked for: search, bounds, order, page; all of it in the address."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from downstream.dashboard.columns import BUILT_IN
from downstream.dashboard.paging import MOST, PAGE, number_of
from downstream.dashboard.search_words import wanted_of

Show = Literal["all", "live", "dead"]
Marked = Literal["", "labelled", "starred"]
SORTS = ("order", "label", "members")
"""What a list can be sorted by that is no number of a column."""
DOMAIN = "domain"
"""The number that is the share of active tokens in the domain asked for."""
SIMILARITY = "similarity"
"""The number that is the cosine with the concept of the search."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number of clusters, both included."""

    name: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Query:
    """What a list shows. columns: the numbers it shows beside those that it always does."""

    search: str = ""
    sort: str = "order"
    descending: bool = False
    show: Show = "all"
    marked: Marked = ""
    domain: str = ""
    ranges: tuple[Range, ...] = ()
    columns: tuple[str, ...] = ()
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
            "domain": asked.domain,
            **bounds,
            "columns": ",".join(asked.columns),
            "page": "" if asked.page == 1 else asked.page,
            "limit": "" if asked.limit == PAGE else asked.limit,
        }

    def order_address(self) -> dict[str, object]:
        """Return the parameters by which another page knows this list and its order."""
        return self.address(page=1, limit=PAGE)

    def sorted_by(self, sort: str) -> dict[str, object]:
        """Return the parameters that sort by a column; the same one again turns round."""
        again = not self.descending if sort == self.sort else sort not in ("order", "label")
        return self.address(sort=sort, descending=again, page=1)

    def bound(self, name: str) -> Range:
        """Return the bounds of a number."""
        return next((each for each in self.ranges if each.name == name), Range(name))

    @property
    def concept(self) -> str:
        """The concept that the search asks for, "" for none."""
        return wanted_of(self.search).concept

    @property
    def filtered(self) -> bool:
        """Whether it is bounded by anything that the form of filters asks."""
        return bool(self.ranges or self.marked or self.domain)

    def shown(self) -> tuple[str, ...]:
        """Return the columns to show: those asked for, bounded or sorted by."""
        used = (*self.columns, *(each.name for each in self.ranges), self.sort)
        named = (*used, DOMAIN) if self.domain else used
        named = (*named, SIMILARITY) if self.concept else named
        return tuple(n for n in dict.fromkeys(named) if n not in BUILT_IN and n not in SORTS)


def query_of(asked: Mapping[str, str], columns: Collection[str] = BUILT_IN) -> Query:
    """Return the query that an address asks; what makes no sense counts as not said.

    columns: the numbers that the clusters have.
    """
    domain = asked.get(DOMAIN, "")[:200]
    search = asked.get("q", "").strip()[:200]
    names = (*columns, DOMAIN) if domain else tuple(columns)
    names = (*names, SIMILARITY) if wanted_of(search).concept else names
    shows: dict[str, Show] = {name: name for name in get_args(Show)}
    marks: dict[str, Marked] = {name: name for name in get_args(Marked)}
    ranges = (
        Range(
            name,
            _float(asked.get(f"{name}_from", ""), -math.inf),
            _float(asked.get(f"{name}_to", ""), math.inf),
        )
        for name in names
    )
    sort = asked.get("sort", "")
    wanted = ",".join(value for name, value in asked.items() if name == "columns").split(",")
    return Query(
        search=search,
        sort=sort if sort in names or sort in SORTS else "order",
        descending=asked.get("down") == "1",
        show=shows.get(asked.get("show", ""), "all"),
        marked=marks.get(asked.get("marked", ""), ""),
        domain=domain,
        ranges=tuple(each for each in ranges if each != Range(each.name)),
        columns=tuple(n for n in dict.fromkeys(wanted) if n in columns and n not in BUILT_IN),
        page=number_of(asked.get("page", ""), 1),
        limit=min(number_of(asked.get("limit", ""), PAGE), MOST),
    )


def _float(text: str, otherwise: float) -> float:
    try:
        found = float(text[:40])
    except ValueError:
        return otherwise
    return otherwise if math.isnan(found) or math.isinf(found) else found
