"""Dense activations by cluster, whole or the best samples' only."""
