"""Clusterings made from directions, co-activation or another tool's merges, as cluster files."""
