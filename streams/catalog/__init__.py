"""Catalogue: what the compacted topics say of corpora and runs, and how readers keep up with it."""
