"""The page that compares a run's dictionaries, and shows which features tell a domain."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from downstream.analysis.dictionaries import (
    Choices,
    DictionaryComparison,
    compare_dictionaries,
)
from downstream.analysis.domain_features import DomainFeatures, domain_features
from downstream.dashboard.domains import counted, domain_names
from downstream.dashboard.json_form import provenance
from downstream.dashboard.pages import Json, Page, not_found
from downstream.dashboard.problems import said
from downstream.dashboard.watch import Shelf
from downstream.reading.snapshot import Snapshot
from downstream.rendering.data import LoadedSnapshot
from streams.errors import SnapshotError

_TOP = 20
_SHOWN = ("dictionaries", "leaders", "specialists", "overlap")


@dataclass(frozen=True, slots=True)
class AskedDomain:
    """Which features tell a domain from another. problem: why that is not known, "" if it is."""

    domain: str
    against: str
    found: DomainFeatures | None = None
    problem: str = ""


def dictionaries_page(shelf: Shelf, run: str, asked: Mapping[str, str]) -> Page:
    """Return the comparison of a run's dictionaries, and with ``domain`` the features of one,
    against the domain ``against`` or all others."""
    snapshot = shelf.find(run)
    if snapshot is None:
        return not_found(f"No run named “{run}” has a snapshot here.")
    compared = snapshot.once("dictionaries compared", partial(_compared, snapshot))
    answer = _asked_domain(snapshot, asked.get("domain", ""), asked.get("against", ""))
    values = {
        "snapshot": snapshot,
        "run": run,
        "choices": compared.choices,
        "notes": compared.notes,
        "domains": domain_names(snapshot) if counted(snapshot) else (),
        "answer": answer,
        **{name: table.to_pylist() for name, table in compared.tables.items()},
        "features": answer.found.table.to_pylist() if answer and answer.found else [],
    }
    data = partial(dictionaries_form, snapshot, compared, answer)
    return Page("dictionaries.html", f"Dictionaries · {run}", values, data)


def dictionaries_form(
    snapshot: LoadedSnapshot, compared: DictionaryComparison, answer: AskedDomain | None
) -> Json:
    """Return the page as plain data; domain is null if none was asked for."""
    domain: Json | None = None
    if answer is not None:
        domain = {"domain": answer.domain, "against": answer.against, "problem": answer.problem}
        domain["features"] = answer.found.table.to_pylist() if answer.found else []
    return {
        "snapshot": provenance(snapshot),
        "notes": list(compared.notes),
        **{name: table.to_pylist() for name, table in compared.tables.items()},
        "domain": domain,
    }


def _compared(snapshot: LoadedSnapshot) -> DictionaryComparison:
    """Return the comparison without the partners of each feature; weights are not read here."""
    alone = {each.name.removeprefix("features/") for each in snapshot.clusterings
             if each.name.startswith("features/")}  # fmt: skip
    sources = [str(each["name"]) for each in snapshot.manifest.about.get("sources", ())]
    only = [name for name in sources if name in alone]
    if not only:
        return DictionaryComparison(dict.fromkeys(_SHOWN, pa.table({})), Choices())
    found = compare_dictionaries(Snapshot(snapshot.manifest), only=only)
    tables: dict[str, Any] = {name: found.tables[name] for name in _SHOWN}
    return DictionaryComparison(tables, found.choices, found.notes)


def _asked_domain(snapshot: LoadedSnapshot, domain: str, against: str) -> AskedDomain | None:
    if not domain:
        return None
    try:
        reading = Snapshot(snapshot.manifest)
        found = domain_features(reading, domain, against or None, top=_TOP)
    except SnapshotError as error:
        return AskedDomain(domain, against, problem=said(error, snapshot.manifest.store))
    return AskedDomain(domain, against, found)
