"""Records on the bus: corpora and token batches, runs, partials, hits, and their identities."""
