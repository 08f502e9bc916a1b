"""What a batch adds to a run: counts, sums, and the hits that may matter."""
