"""Parquet files of snapshots: written in pieces, their headers checked, read within a budget."""
