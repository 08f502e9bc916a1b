"""The panels of a feature's page, in the order in which they stand; a new one is listed here."""

from downstream.rendering.panels.activation_by_position import ActivationByPositionPanel
from downstream.rendering.panels.coactivation import CoactivationPanel
from downstream.rendering.panels.correlated_neurons import CorrelatedNeuronsPanel
from downstream.rendering.panels.distribution import DistributionPanel
from downstream.rendering.panels.domains import DomainsPanel
from downstream.rendering.panels.firing_places import FiringPlacesPanel
from downstream.rendering.panels.logit_lens import LogitLensPanel
from downstream.rendering.panels.neighbours import NeighboursPanel
from downstream.rendering.panels.noise import NoisePanel
from downstream.rendering.panels.norms import NormsPanel
from downstream.rendering.panels.panel import Panel, StatisticPanel
from downstream.rendering.panels.positions import PositionsPanel
from downstream.rendering.panels.row_maxima import RowMaximaPanel
from downstream.rendering.panels.scores import ScorePanel
from downstream.rendering.panels.tokens import TokensPanel

PANELS: tuple[Panel | StatisticPanel, ...] = (
    LogitLensPanel(),
    NeighboursPanel(),
    TokensPanel(),
    CoactivationPanel(),
    CorrelatedNeuronsPanel(),
    DomainsPanel(),
    DistributionPanel(),
    RowMaximaPanel(),
    ActivationByPositionPanel(),
    PositionsPanel(),
    FiringPlacesPanel(),
    ScorePanel("detection"),
    ScorePanel("fuzzing"),
    ScorePanel("embedding"),
    ScorePanel("intruder"),
    NormsPanel(),
    NoisePanel(),
)
