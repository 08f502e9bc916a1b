"""Encoders for GPUs, in plain torch operations, which run on any device of torch."""
