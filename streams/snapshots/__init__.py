"""Snapshots as files: manifests, tables and columns, Parquet, stores, content hash, attachments."""
