"""Lengths of the encoder and decoder directions of features."""

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
from downstream.derived.dictionaries import provenance
from streams.arrays import F32
from streams.errors import ModelError
from streams.snapshots.tables import TableForm

NORMS = TableForm(
    "direction_norms",
    "Lengths of a feature's directions; 0 where a source has none.",
    ("feature",),
    (
        *FEATURE_COLUMNS,
        computed(
            "decoder_norm",
            pa.float32(),
            "length of what it writes per activation of 1",
            "hook value",
        ),
        computed("encoder_norm", pa.float32(), "length of what it reads along"),
    ),
)


@dataclass(frozen=True, slots=True)
class Norms:
    """Decoder and encoder norms of every feature."""

    kind: str = "norms"
    summary: str = "lengths of decoder and encoder directions"
    forms: tuple[TableForm, ...] = (NORMS,)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the norms of all sources that have directions."""
        parts = []
        for each in given.dictionaries:
            decoder, encoder = each.decoder, each.encoder
            count = next(len(d) for d in (decoder, encoder) if d is not None)
            columns = {
                **feature_columns(given, each.name, count),
                "decoder_norm": pa.array(_lengths(decoder, count)),
                "encoder_norm": pa.array(_lengths(encoder, count)),
            }
            parts.append(pa.table(columns, NORMS.schema))
        if not parts:
            raise ModelError("no norms: the run has no source with directions")
        said: dict[str, Any] = {"dictionaries": [provenance(each) for each in given.dictionaries]}
        return Derived({NORMS: pa.concat_tables(parts)}, said)


def _lengths(directions: F32 | None, count: int) -> F32:
    if directions is None:
        return np.zeros(count, np.float32)
    found: F32 = np.linalg.norm(directions, axis=1)
    return found
