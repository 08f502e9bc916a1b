"""Faults against the whole service on a real broker: real processes, real signals."""
