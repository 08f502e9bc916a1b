"""Encoders for processors: products by chunks, read by compiled loops while in the cache."""
