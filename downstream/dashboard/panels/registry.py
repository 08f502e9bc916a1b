"""The panels of a feature's page, in the order in which they stand; a new one is listed here."""

from downstream.dashboard.panels.coactivation import CoactivationPanel
from downstream.dashboard.panels.domains import DomainsPanel
from downstream.dashboard.panels.logit_lens import LogitLensPanel
from downstream.dashboard.panels.neighbours import NeighboursPanel
from downstream.dashboard.panels.noise import NoisePanel
from downstream.dashboard.panels.norms import NormsPanel
from downstream.dashboard.panels.panel import Panel, StatisticPanel
from downstream.dashboard.panels.positions import PositionsPanel
from downstream.dashboard.panels.tokens import TokensPanel

PANELS: tuple[Panel | StatisticPanel, ...] = (
    LogitLensPanel(),
    NeighboursPanel(),
    TokensPanel(),
    CoactivationPanel(),
    DomainsPanel(),
    PositionsPanel(),
    NormsPanel(),
    NoisePanel(),
)
