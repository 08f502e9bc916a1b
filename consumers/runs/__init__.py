"""Runs: what a person asks, checked; run records made, engines loaded, runs deleted."""
