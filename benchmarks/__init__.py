"""Benchmarks: ``python -m benchmarks`` or ``make bench``; every ratio has both sides in one run."""
