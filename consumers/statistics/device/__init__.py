"""Forms of statistics for devices, in torch operations: the same numbers to the last bit."""
