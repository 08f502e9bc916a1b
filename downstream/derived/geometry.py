"""Geometry: how active directions are spread, by domain, and the spectrum of hook values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.derived.derivation import Derived, Given, Options, computed
from downstream.derived.dictionaries import Dictionary, provenance, units
from downstream.reading.snapshot import Snapshot
from streams.arrays import F32, F64, I64, AnyArray
from streams.errors import SnapshotError
from streams.snapshots.tables import Column, TableForm

_FLOAT64 = "float64 arithmetic"


def _shape_columns(unit: str, inertia: bool) -> tuple[Column, ...]:
    """Return the columns of what ``_shape`` says of a covariance."""

    def column(name: str, kind: pa.DataType, description: str, unit: str = "") -> Column:
        return Column(name, kind, description, unit, "with error", _FLOAT64)

    moments = (
        column(
            "moments_of_inertia",
            pa.list_(pa.float64()),
            "eigenvalues of the inertia tensor about the centre per unit of mass, "
            "trace(C) 1 - C, in the order of `eigenvalues`",
            unit,
        ),
    )
    return (
        column("total_variance", pa.float64(), "sum of the eigenvalues, trace(C)", unit),
        column("participation_ratio", pa.float64(), "(sum of eigenvalues)^2 / sum of their squares",
               "dimensions"),
        column("effective_rank", pa.float64(), "exp of the entropy of the eigenvalues' shares of "
               "their sum (Roy and Vetterli 2007)", "dimensions"),
        column("anisotropy", pa.float64(), "(d / participation_ratio - 1) / (d - 1), d dimensions: "
               "0 for all alike, 1 on a line", "1"),
        column("eigenvalues", pa.list_(pa.float64()), "eigenvalues of C, the largest first", unit),
        *(moments if inertia else ()),
    )  # fmt: skip


DIRECTION_GEOMETRY = TableForm(
    "direction_geometry",
    "How the directions of active features are spread: C is the covariance of directions at length "
    "1, each with the tokens at which its feature is active as its mass.",
    ("source", "scope", "domain"),
    (
        Column("source", pa.string(), "source; its decoder directions, else those of its encoder"),
        Column("scope", pa.string(), "`run`, or `domain` for the tokens of one domain"),
        Column("domain", pa.string(), "as in `domain_firings`; empty for the run"),
        Column("features", pa.int64(), "features that are active", "features"),
        Column("mass", pa.int64(), "pairs of a token and an active feature", "pairs"),
        computed("centre_length", pa.float64(), "length of the mean direction, 0 to 1", "1"),
        *_shape_columns("1", inertia=True),
    ),
)
HOOK_SPECTRUM = TableForm(
    "hook_spectrum",
    "Spectrum of the covariance C of a hook's values, from the statistic `hook_values`.",
    ("hook",),
    (
        Column("hook", pa.string(), "hook"),
        Column("tokens", pa.int64(), "tokens that C is from", "tokens", "sampled"),
        *_shape_columns("hook value^2", inertia=False),
    ),
)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Spread of active directions of the run and of each domain; spectra of hook values."""

    kind: str = "geometry"
    summary: str = "spread of active directions by domain, and the spectrum of hook values"
    forms: tuple[TableForm, ...] = (DIRECTION_GEOMETRY, HOOK_SPECTRUM)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the tables; the second one is empty unless the run has ``hook_values``."""
        del options
        masses, sources = _Masses.of(given.snapshot), []
        rows: list[dict[str, Any]] = []
        for each in sorted(given.dictionaries, key=lambda one: one.name.encode()):
            directions = each.decoder if each.decoder is not None else each.encoder
            if directions is not None:
                sources.append(provenance(each))
                rows += _of_source(given, each, units(directions), masses)
        spectra = list(_spectra(given.snapshot))
        if not rows and not spectra:
            raise SnapshotError(
                "no geometry: no source with directions is active, and the run has no hook_values"
            )
        said = {"dictionaries": sources, "domains": masses.domains is not None}
        made = {
            DIRECTION_GEOMETRY: pa.Table.from_pylist(rows, schema=DIRECTION_GEOMETRY.schema),
            HOOK_SPECTRUM: pa.Table.from_pylist(spectra, schema=HOOK_SPECTRUM.schema),
        }
        return Derived(made, said)


@dataclass(frozen=True, slots=True, eq=False)
class _Masses:
    """At how many tokens features are active. domains: by domain, of features; None if unknown."""

    run: I64
    domains: Mapping[str, tuple[AnyArray, I64]] | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "_Masses":
        features = snapshot.features.arrow
        run = features["firing_tokens"].to_numpy()
        if "domain_firings" not in snapshot.tables:
            return cls(run, None)
        cluster = features["cluster"].fill_null(-1).to_numpy()
        feature = np.full(len(snapshot.clusters.arrow), -1)
        feature[cluster[cluster >= 0]] = np.flatnonzero(cluster >= 0)
        table = snapshot.table("domain_firings").arrow
        number = feature[table["cluster"].to_numpy()]
        single = number >= 0
        number, tokens = number[single], table["firing_tokens"].to_numpy()[single]
        names = np.array(table["domain"].to_pylist(), object)[single]
        own = {name: names == name for name in dict.fromkeys(names.tolist())}
        ordered = sorted(own, key=lambda name: str(name).encode())
        return cls(run, {name: (number[own[name]], tokens[own[name]]) for name in ordered})


def _of_source(
    given: Given, source: Dictionary, directions: F32, masses: _Masses
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a source: those of domains, then that of the run."""
    first = given.first_feature(source.name)
    stop = first + len(directions)
    for domain, (feature, tokens) in (masses.domains or {}).items():
        own = (first <= feature) & (feature < stop)
        yield from _row(
            source.name, "domain", domain, directions[feature[own] - first], tokens[own]
        )
    tokens = masses.run[first:stop]
    active = np.flatnonzero(tokens)
    yield from _row(source.name, "run", "", directions[active], tokens[active])


def _row(
    source: str, scope: str, domain: str, directions: F32, tokens: I64
) -> Iterator[dict[str, Any]]:
    """Yield the row of directions [feature, width] with masses; none without a mass."""
    if not len(tokens):
        return
    mass = int(tokens.sum())
    wide, share = directions.astype(np.float64), tokens / mass
    centre = share @ wide
    spread = wide - centre
    covariance = spread.T @ (share[:, None] * spread)
    shape = _shape(covariance)
    total = shape["total_variance"]
    yield {
        "source": source,
        "scope": scope,
        "domain": domain,
        "features": len(tokens),
        "mass": mass,
        "centre_length": float(np.linalg.norm(centre)),
        **shape,
        "moments_of_inertia": [total - each for each in shape["eigenvalues"]],
    }


def _spectra(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield the spectrum of each hook that has tokens."""
    if "hook_values" not in snapshot.tables:
        return
    table = snapshot.table("hook_values").arrow
    for hook in sorted(set(table["hook"].to_pylist()), key=lambda each: each.encode()):
        rows = [row for row in table.to_pylist() if row["hook"] == hook]
        if not rows[0]["tokens"]:
            continue
        covariance = np.zeros((len(rows), len(rows)))
        for i, row in enumerate(rows):
            covariance[i, : i + 1] = covariance[: i + 1, i] = row["covariance"]
        yield {"hook": hook, "tokens": rows[0]["tokens"], **_shape(covariance)}


def _shape(covariance: F64) -> dict[str, Any]:
    """Return what a covariance says of a shape; zeros where nothing is spread."""
    found = np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0.0)
    total, d = float(found.sum()), len(found)
    if total <= 0:
        return {
            "total_variance": 0.0,
            "participation_ratio": 0.0,
            "effective_rank": 0.0,
            "anisotropy": 0.0,
            "eigenvalues": found.tolist(),
        }
    share = found / total
    ratio = float(1 / (share**2).sum())
    some = share[share > 0]
    return {
        "total_variance": total,
        "participation_ratio": ratio,
        "effective_rank": float(np.exp(-(some * np.log(some)).sum())),
        "anisotropy": (d / ratio - 1) / (d - 1) if d > 1 else 0.0,
        "eigenvalues": found.tolist(),
    }
