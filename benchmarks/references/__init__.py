"""Slow references: the loops that others use for the same work, rewritten to be compared with."""
