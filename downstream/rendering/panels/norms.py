"""The panel of norms: lengths of a feature's decoder and encoder directions."""

import math
from dataclasses import dataclass

from downstream.derived.norms import NORMS
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject, rows_of
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest


@dataclass(frozen=True, slots=True)
class ShownNorms:
    """Lengths of the directions, 0 where the source has none."""

    decoder: float
    encoder: float


@dataclass(frozen=True, slots=True)
class NormsPanel:
    """How long the directions of a feature are."""

    kind: str = "norms"
    template: str = "panels/norms.html"

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> ShownNorms | None:
        """Return the norms of a feature."""
        if subject.feature is None:
            return None
        rows = rows_of(attached, NORMS, "feature", subject.feature.number).to_pylist()
        if not rows:
            return None
        lengths = (rows[0]["decoder_norm"], rows[0]["encoder_norm"])
        if not all(map(math.isfinite, lengths)):
            raise SnapshotError("it holds norms that are not finite")
        return ShownNorms(*lengths)
