"""Interventions on features: steering, ablation and clamping, many of them in one batch."""
