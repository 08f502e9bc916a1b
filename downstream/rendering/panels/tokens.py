"""The panel of tokens: those at which a feature or cluster is active most often."""

import math
from dataclasses import dataclass
from typing import Any

from downstream.derived.tokens import CLUSTER_TOKENS, TOKEN_CONCENTRATION
from downstream.reading.token_text import readable
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject, rows_of
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest

_MOST = 20


@dataclass(frozen=True, slots=True)
class ActiveToken:
    """A token and how often the feature is active at it; error: at most so much too often."""

    id: int
    text: str
    firing_tokens: int
    active_given_token: float
    token_given_active: float
    pmi: float
    max_activation: float
    error: int


@dataclass(frozen=True, slots=True)
class ShownTokens:
    """What the panel shows. entropy in bits, concentration: of the token, each with its error."""

    tokens: tuple[ActiveToken, ...]
    entropy: float
    entropy_error: float
    concentration: float
    concentration_error: float


@dataclass(frozen=True, slots=True)
class TokensPanel:
    """Tokens at which a cluster is active."""

    kind: str = "tokens"
    template: str = "panels/tokens.html"

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> ShownTokens | None:
        """Return the tokens of a cluster."""
        cluster = subject.cluster
        rows = rows_of(attached, CLUSTER_TOKENS, "cluster", cluster).slice(0, _MOST).to_pylist()
        if not rows:
            return None
        tokens = tuple(_token(snapshot, row) for row in rows)
        said = rows_of(attached, TOKEN_CONCENTRATION, "cluster", cluster).to_pylist()
        if not said:
            raise SnapshotError("its tables do not fit together")
        names = (name for name in ShownTokens.__dataclass_fields__ if name != "tokens")
        return ShownTokens(tokens, **{name: _finite(said[0][name]) for name in names})


def _token(snapshot: LoadedSnapshot, row: dict[str, Any]) -> ActiveToken:
    raw = snapshot.vocabulary.get(row["token"], f"⟨id {row['token']}⟩".encode())
    text = "".join(piece.text for piece in readable([raw])[0])
    named = (name for name in ActiveToken.__dataclass_fields__ if name not in ("id", "text"))
    return ActiveToken(row["token"], text, **{name: _finite(row[name]) for name in named})


def _finite(value: Any) -> Any:
    if not math.isfinite(value):
        raise SnapshotError("it holds numbers that are not finite")
    return value
