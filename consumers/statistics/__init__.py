"""Statistics: numbers per cluster that add up over batches, one file each, and their registry."""
