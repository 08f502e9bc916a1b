"""The panel of the logit lens: top and bottom tokens, and how the logits are distributed."""

import math
from dataclasses import dataclass
from typing import Any

from downstream.derived.logit_lens import LOGIT_LENS
from downstream.reading.token_text import readable
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.figures import Bin
from downstream.rendering.panels.panel import Subject, rows_of
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest

_MOST_TOKENS, _MOST_BINS = 20, 256


@dataclass(frozen=True, slots=True)
class LensToken:
    """A token and its logit."""

    id: int
    text: str
    logit: float


@dataclass(frozen=True, slots=True)
class Lens:
    """The lens of a feature by one convention."""

    convention: str
    top: tuple[LensToken, ...]
    bottom: tuple[LensToken, ...]
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class ShownLens:
    """What the panel shows. lenses: one per convention, the folded one first."""

    lenses: tuple[Lens, ...]


@dataclass(frozen=True, slots=True)
class LogitLensPanel:
    """Tokens that a feature makes more and less likely."""

    kind: str = "logit_lens"
    template: str = "panels/logit_lens.html"

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> ShownLens | None:
        """Return the lenses of a feature."""
        if subject.feature is None:
            return None
        number = subject.feature.number
        rows = rows_of(attached, LOGIT_LENS, "feature", number).to_pylist()
        return ShownLens(tuple(_lens(snapshot, row) for row in rows[:2])) if rows else None


def _lens(snapshot: LoadedSnapshot, row: dict[str, Any]) -> Lens:
    low, high = _finite(row["min_logit"]), _finite(row["max_logit"])
    counts = row["histogram"][:_MOST_BINS]
    width = (high - low) / max(len(counts), 1)
    bins = tuple(Bin(low + n * width, low + (n + 1) * width, c) for n, c in enumerate(counts))
    top, bottom = _tokens(snapshot, row, "top"), _tokens(snapshot, row, "bottom")
    return Lens(row["convention"], top, bottom, bins if width > 0 else ())


def _tokens(snapshot: LoadedSnapshot, row: dict[str, Any], side: str) -> tuple[LensToken, ...]:
    """Return the tokens of a side, "top" or "bottom", with their logits."""
    pairs = zip(row[f"{side}_tokens"], row[f"{side}_logits"], strict=False)
    return tuple(
        LensToken(token, _text(snapshot, token), _finite(logit))
        for token, logit in list(pairs)[:_MOST_TOKENS]
    )


def _text(snapshot: LoadedSnapshot, token: int) -> str:
    raw = snapshot.vocabulary.get(token, f"⟨id {token}⟩".encode())
    return "".join(piece.text for piece in readable([raw])[0])


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise SnapshotError("it holds logits that are not finite")
    return value
