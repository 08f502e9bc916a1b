"""Attachments computed from a finished snapshot and from weights: numpy and scipy, no torch."""
