"""The kinds of attachments derived from a snapshot and weights; a new one is listed here."""

from downstream.derived.coactivation import SampledCoactivation
from downstream.derived.correlated_neurons import CorrelatedNeurons
from downstream.derived.derivation import Derivation
from downstream.derived.feature_map import FeatureMap
from downstream.derived.geometry import Geometry
from downstream.derived.logit_lens import LogitLens
from downstream.derived.neighbours import Neighbours
from downstream.derived.norms import Norms
from downstream.derived.tokens import Tokens
from streams.errors import UserError

DERIVATIONS: tuple[Derivation, ...] = (
    LogitLens(),
    Neighbours(),
    Norms(),
    FeatureMap(),
    Geometry(),
    Tokens(),
    SampledCoactivation(),
    CorrelatedNeurons(),
)


def find_derivation(kind: str) -> Derivation:
    """Return a kind by its name; raises UserError, naming those there are."""
    for each in DERIVATIONS:
        if each.kind == kind:
            return each
    raise UserError(f"unknown kind {kind!r}: take one of {', '.join(d.kind for d in DERIVATIONS)}")
