"""What happens to token batches: activations, aggregation, snapshots, dashboards."""
