"""One-line mutants of the parts that must be exact, and the fast tests that have to notice them."""
