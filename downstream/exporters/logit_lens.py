"""Logit lens of features, from the attachment ``logit_lens`` of a snapshot that has one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from downstream.exporters.exporter import Option
from downstream.exporters.feature_rows import FeatureRows, find_rows
from downstream.exporters.token_strings import TokenStrings
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError

CONVENTION = Option(
    "convention", "Logit lens: raw, or folded with the final norm's gain.", default="raw"
)
TOKENS = 10
"""Tokens at either end that formats show."""

_TABLE = "logit_lens"


@dataclass(frozen=True, slots=True)
class LensRow:
    """The logits of one feature: best and worst tokens with their logits, and a histogram.

    bar_middles: of bars of equal width over all logits; bar_counts: tokens in each.
    """

    top_ids: Sequence[int]
    top_tokens: Sequence[str]
    top_values: Sequence[float]
    bottom_ids: Sequence[int]
    bottom_tokens: Sequence[str]
    bottom_values: Sequence[float]
    bar_middles: Sequence[float]
    bar_counts: Sequence[int]

    @property
    def top(self) -> list[tuple[str, float]]:
        """The tokens of the largest logits, the largest first."""
        return list(zip(self.top_tokens, self.top_values, strict=True))

    @property
    def bottom(self) -> list[tuple[str, float]]:
        """The tokens of the smallest logits, the smallest first."""
        return list(zip(self.bottom_tokens, self.bottom_values, strict=True))


class Lens:
    """The logit lenses of a source; features are asked for from the first to the last."""

    def __init__(self, rows: FeatureRows, strings: TokenStrings) -> None:
        self._rows = rows
        self._strings = strings

    def of(self, index: int) -> LensRow | None:
        """Return a feature's, None for one that has none or whose logits are not finite."""
        row = self._rows.of(index)
        if row is None or not all(math.isfinite(row[name]) for name in ("min_logit", "max_logit")):
            return None
        cuts = np.linspace(row["min_logit"], row["max_logit"], len(row["histogram"]) + 1)
        return LensRow(
            **self._side("top", row),
            **self._side("bottom", row),
            bar_middles=((cuts[:-1] + cuts[1:]) / 2).tolist(),
            bar_counts=row["histogram"],
        )

    def _side(self, side: str, row: dict[str, Any]) -> dict[str, Any]:
        ids = row[f"{side}_tokens"][:TOKENS]
        return {
            f"{side}_ids": ids,
            f"{side}_tokens": [self._strings.one(one) for one in ids],
            f"{side}_values": row[f"{side}_logits"][:TOKENS],
        }


def find_lens(
    snapshot: Snapshot, source: str, strings: TokenStrings, convention: str
) -> Lens | None:
    """Return the logit lenses of a source, None if none is attached.

    Raises ExportError for a convention that is none.
    """
    if convention not in ("raw", "folded"):
        raise ExportError(f"--convention {convention[:40]!r} is neither raw nor folded")
    same = {"source": source, "convention": convention}
    rows = find_rows(snapshot, "logit_lens", _TABLE, same)
    return None if rows is None else Lens(rows, strings)
