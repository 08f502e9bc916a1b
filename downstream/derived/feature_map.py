"""A two-dimensional map of features: principal components of their decoder directions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.derived.derivation import (
    FEATURE_COLUMNS,
    Derived,
    Given,
    Options,
    computed,
    feature_columns,
)
from downstream.derived.dictionaries import provenance, units
from streams.arrays import F32
from streams.errors import ModelError
from streams.snapshots.tables import TableForm

FEATURE_MAP = TableForm(
    "feature_map",
    "Where a feature lies among those of its source, by its decoder direction at length 1.",
    ("feature",),
    (
        *FEATURE_COLUMNS,
        computed("x", pa.float32(), "first principal component"),
        computed("y", pa.float32(), "second principal component"),
    ),
)


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """PCA of the decoder directions of each source."""

    kind: str = "feature_map"
    summary: str = "a 2-D map of features by decoder direction (PCA)"
    forms: tuple[TableForm, ...] = (FEATURE_MAP,)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the map of all sources that have decoder directions."""
        parts, said, left_out = [], [], []
        for each in given.dictionaries:
            if each.decoder is None or min(each.decoder.shape) < 2:
                left_out.append(f"{each.name} has no decoder directions that span a plane")
                continue
            places, explained = principal_plane(units(each.decoder))
            columns = {
                **feature_columns(given, each.name, len(places)),
                "x": pa.array(np.ascontiguousarray(places[:, 0])),
                "y": pa.array(np.ascontiguousarray(places[:, 1])),
            }
            parts.append(pa.table(columns, FEATURE_MAP.schema))
            said.append({**provenance(each), "explained_variance": explained})
        if not parts:
            raise ModelError(f"no map: {'; '.join(left_out) or 'the run has no dictionary'}")
        made: dict[str, Any] = {"method": "PCA", "dictionaries": said}
        return Derived({FEATURE_MAP: pa.concat_tables(parts)}, made, left_out)


def principal_plane(points: F32) -> tuple[F32, list[float]]:
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
    return found, [float(share) for share in shares]
