"""A two-dimensional map of features by decoder direction: principal components, or UMAP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.derived.derivation import (
    FEATURE_COLUMNS,
    Derived,
    Given,
    Options,
    Projection,
    computed,
    feature_columns,
)
from downstream.derived.dictionaries import provenance, units
from streams.arrays import F32
from streams.errors import ModelError, SettingsError
from streams.snapshots.tables import TableForm

_NEIGHBOURS = 15
_FEW = 50

FEATURE_MAP = TableForm(
    "feature_map",
    "Where a feature lies among those of its source, by its decoder direction at length 1.",
    ("feature",),
    (
        *FEATURE_COLUMNS,
        computed("x", pa.float32(), "first coordinate: by PCA the first principal component"),
        computed("y", pa.float32(), "second coordinate: by PCA the second one"),
    ),
)


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """The decoder directions of each source in a plane, by PCA or UMAP."""

    kind: str = "feature_map"
    summary: str = "a 2-D map of features by decoder direction (PCA or UMAP)"
    forms: tuple[TableForm, ...] = (FEATURE_MAP,)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the map of all sources that have decoder directions."""
        project = _PROJECTIONS[options.projection]
        parts, said, left_out = [], [], []
        for each in given.dictionaries:
            if each.decoder is None or min(each.decoder.shape) < 2:
                left_out.append(f"{each.name} has no decoder directions that span a plane")
                continue
            places, how = project(units(each.decoder))
            columns = {
                **feature_columns(given, each.name, len(places)),
                "x": pa.array(np.ascontiguousarray(places[:, 0])),
                "y": pa.array(np.ascontiguousarray(places[:, 1])),
            }
            parts.append(pa.table(columns, FEATURE_MAP.schema))
            said.append({**provenance(each), **how})
        if not parts:
            raise ModelError(f"no map: {'; '.join(left_out) or 'the run has no dictionary'}")
        made: dict[str, Any] = {"method": options.projection.upper(), "dictionaries": said}
        return Derived({FEATURE_MAP: pa.concat_tables(parts)}, made, left_out)


def principal_plane(points: F32) -> tuple[F32, dict[str, Any]]:
    """Return the first two principal components [n, 2] and the share of variance of each.

    points: [n, width]. A component's sign is that which makes its largest loading positive.
    """
    from scipy.linalg import eigh

    centred = points - points.mean(axis=0)
    covariance = (centred.T @ centred).astype(np.float64)
    width = len(covariance)
    values, axes = eigh(covariance, subset_by_index=[width - 2, width - 1])
    axes = axes[:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    shares = values[::-1] / max(float(np.trace(covariance)), np.finfo(np.float64).tiny)
    found: F32 = (centred @ axes.astype(np.float32)).astype(np.float32)
    return found, {"explained_variance": [float(share) for share in shares]}


def umap_plane(points: F32) -> tuple[F32, dict[str, Any]]:
    """Return a map [n, 2] by umap-learn, and what it was made with.

    points: [n, width], at length 1; nearness is cosine. The same points give the same map with the
    same version, since the seed is fixed and one thread works. Raises SettingsError where the
    package is not installed.
    """
    try:
        from umap import UMAP
    except ImportError as error:
        raise SettingsError(
            "a map by UMAP needs the package umap-learn, which is not installed here; --map pca "
            "needs none"
        ) from error
    how = {"n_neighbors": min(_NEIGHBOURS, len(points) - 1), "min_dist": 0.1, "metric": "cosine"}
    # The spectral start needs more points than dimensions, and some to spare.
    start = "spectral" if len(points) > _FEW else "random"
    reducer = UMAP(n_components=2, random_state=0, n_jobs=1, init=start, **how)
    found: F32 = np.asarray(reducer.fit_transform(points), np.float32)
    return found, {**how, "init": start, "random_state": 0, "umap_learn": version("umap-learn")}


_PROJECTIONS: Mapping[Projection, Callable[[F32], tuple[F32, dict[str, Any]]]] = {
    "pca": principal_plane,
    "umap": umap_plane,
}
