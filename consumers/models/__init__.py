"""The language model: loading it, its hooks, and which forward computes them."""
