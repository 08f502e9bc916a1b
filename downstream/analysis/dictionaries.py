"""The dictionaries of a run compared, all of them at once, from what its snapshot stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Interval

from downstream.analysis.dictionary_matches import Evidence, Partners, by_decoder, pairs_of
from downstream.analysis.dictionary_tables import DICTIONARIES, HEALTH, MATCHES, OVERLAP
from downstream.analysis.domain_counts import DomainCounts, read_domain_counts
from downstream.analysis.leaders import (
    LEADERS,
    SPECIALISTS,
    SourceClusters,
    leaders,
    selectivity_of,
    specialists,
)
from downstream.analysis.releases import cached_at, neuronpedia_address, release_of
from downstream.derived.dictionaries import Dictionary, Load
from downstream.reading.snapshot import Snapshot
from streams.arrays import Bool
from streams.errors import ModelError, SnapshotError

_Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen.

    top: features of a list. least: tokens at which a selective feature is active, at least. share,
    ratio: of its active tokens that a specialist has in its domain, and times the domain's share of
    tokens. decoder, coactivation, contexts: scores from which on a feature is shared.
    """

    top: Annotated[int, Interval(ge=1, le=10_000)] = 5
    least: Annotated[int, Interval(ge=1, lt=2**63)] = 20
    share: _Share = 0.5
    ratio: Annotated[float, Interval(ge=0)] = 2.0
    decoder: _Share = 0.7
    coactivation: _Share = 0.3
    contexts: _Share = 0.2


@dataclass(frozen=True, eq=False)
class DictionaryComparison:
    """Tables by their name: those of the forms above, LEADERS and SPECIALISTS.

    notes: what could not be compared, and why, a line each.
    """

    tables: Mapping[str, pa.Table]
    choices: Choices
    notes: Sequence[str] = field(default_factory=tuple)


def compare_dictionaries(
    snapshot: Snapshot,
    load: Load | None = None,
    choices: Choices | None = None,
    *,
    only: Sequence[str] = (),
    cache: Path | None = None,
) -> DictionaryComparison:
    """Return the dictionaries of a run side by side; each table of it is read once.

    load: reads a source's weights, for decoder directions; without it, or where they are gone, a
    note says so. only: some sources of the run, else all. cache: the hub's local cache, else the
    one that the environment names. Raises SnapshotError for a source that there is not, and a run
    whose features are not watched alone.
    """
    chosen = choices or Choices()
    listed = _listed(snapshot, only)
    weights, notes = _loaded(listed, load)
    spans = _spans(snapshot, listed, weights)
    evidence = Evidence(snapshot)
    try:
        counts: DomainCounts | None = read_domain_counts(snapshot)
    except SnapshotError as error:
        counts = None
        notes.append(f"domains are not known: {error}")
    found = selectivity_of(counts, chosen.least) if counts else None
    clusters = snapshot.clusters.arrow
    tables = {
        DICTIONARIES.name: _summary(snapshot, listed, spans, cache),
        LEADERS.name: leaders(spans, clusters, counts, found, chosen.top, neuronpedia_address),
        SPECIALISTS.name: specialists(
            spans, counts, chosen.least, chosen.share, chosen.ratio, chosen.top
        )
        if counts
        else SPECIALISTS.schema.empty_table(),
        **_matched(spans, weights, evidence, clusters["firing_tokens"].to_numpy() > 0, chosen),
    }
    return DictionaryComparison(tables, chosen, (*notes, *evidence.notes))


def _listed(snapshot: Snapshot, only: Sequence[str]) -> list[Mapping[str, Any]]:
    every = list(snapshot.about.get("sources", ()))
    names = [str(each["name"]) for each in every]
    if unknown := next((name for name in only if name not in names), None):
        known = ", ".join(names)
        raise SnapshotError(f"the run has no source {unknown!r} (there are: {known})")
    return [each for each in every if not only or each["name"] in only]


def _loaded(
    listed: Sequence[Mapping[str, Any]], load: Load | None
) -> tuple[list[Dictionary | None], list[str]]:
    """Return the weights of sources, None where there are none, and why."""
    weights: list[Dictionary | None] = []
    notes = [] if load else ["decoder directions were not read"]
    for source in listed:
        found = None
        if load is not None and source.get("kind") in ("dictionary", "weights"):
            try:
                found = load(source)
                found.decoder  # noqa: B018 - read here, where it may fail
            except ModelError as error:
                found = None
                notes.append(f"decoder of {source['name']} is not known: {error}")
        weights.append(found)
    return weights, notes


def _spans(
    snapshot: Snapshot, listed: Sequence[Mapping[str, Any]], weights: Sequence[Dictionary | None]
) -> list[SourceClusters]:
    names = snapshot.clusters.arrow["clustering"].combine_chunks()
    spans = []
    for source, known in zip(listed, weights, strict=True):
        name = str(source["name"])
        first = int(pc.index(names, pa.scalar(f"features/{name}")).as_py())
        if first < 0:
            raise SnapshotError(f"the features of {name} are not watched alone in this run")
        release = release_of(str(source.get("location", "")))
        published = (known.published if known else "") or (release.neuronpedia if release else "")
        spans.append(SourceClusters(name, first, int(source["components"]), published))
    return spans


def _summary(
    snapshot: Snapshot,
    listed: Sequence[Mapping[str, Any]],
    spans: Sequence[SourceClusters],
    cache: Path | None,
) -> pa.Table:
    health = {row["source"]: row for row in snapshot.health}
    rows = []
    for source, span in zip(listed, spans, strict=True):
        own = health[span.name]
        measured = own.get("tokens", 0) > 0
        location = str(source.get("location", ""))
        rows.append(
            {
                "source": span.name,
                "hook": str(source.get("hook", "")),
                "features": own["features"],
                "active": own["features"] - own["dropped"] - own["dead"],
                "dead_share": own["dead_share"],
                "l0": own["l0"],
                **{name: own.get(name) if measured else None for name in HEALTH},
                "location": location,
                "neuronpedia": neuronpedia_address(span.neuronpedia),
                "cached_at": _here(location, cache),
            }
        )
    return pa.Table.from_pylist(rows, schema=DICTIONARIES.schema)


def _here(location: str, cache: Path | None) -> str:
    """Return where a dictionary lies on this machine, "" if it does not."""
    place = Path(location.partition("#")[0]).expanduser()
    if location and place.exists():
        return str(place)
    release = release_of(location)
    cached = cached_at(release, cache) if release else None
    return str(cached) if cached else ""


def _matched(
    spans: Sequence[SourceClusters],
    weights: Sequence[Dictionary | None],
    evidence: Evidence,
    active: Bool,
    choices: Choices,
) -> dict[str, pa.Table]:
    matches, overlap = [MATCHES.schema.empty_table()], []
    for a, b in pairs_of(len(spans)):
        one, other = spans[a], spans[b]
        ours, theirs = weights[a], weights[b]
        ways: dict[str, Partners | None] = {
            "decoder": by_decoder(ours, theirs) if ours and theirs else None,
            "coactivation": evidence.coactivation(one.span, other.span),
            "contexts": evidence.contexts(one.span, other.span),
        }
        reached = {
            way: partners.score >= getattr(choices, way)
            for way, partners in ways.items()
            if partners is not None
        }
        live = np.flatnonzero(active[one.span])
        shared = np.logical_or.reduce(list(reached.values()))
        matches.append(_table(one, other, ways, shared, live))
        overlap.append(
            {
                "source": one.name,
                "other_source": other.name,
                "active": len(live),
                **{f"by_{way}": int(own[live].sum()) for way, own in reached.items()},
                "shared": int(shared[live].sum()),
                "alone": int((~shared[live]).sum()),
            }
        )
    sorting = [(name, "ascending") for name in MATCHES.key]
    return {
        MATCHES.name: pa.concat_tables(matches).sort_by(sorting),
        OVERLAP.name: pa.Table.from_pylist(overlap, schema=OVERLAP.schema),
    }


def _table(
    one: SourceClusters,
    other: SourceClusters,
    ways: Mapping[str, Partners | None],
    shared: Bool,
    live: Any,
) -> pa.Table:
    columns: dict[str, Any] = {
        "source": [one.name] * len(live),
        "index": live,
        "other_source": [other.name] * len(live),
        "shared": shared[live],
    }
    for way, found in ways.items():
        if found is None:
            columns[f"{way}_index"] = pa.nulls(len(live), pa.int32())
            columns[way] = pa.nulls(len(live), pa.float64())
        else:
            none = found.index[live] < 0
            columns[f"{way}_index"] = pa.array(found.index[live], pa.int32(), mask=none)
            columns[way] = found.score[live]
    return MATCHES.table(columns)
