"""Which micro-batch and dtype suit this machine."""
