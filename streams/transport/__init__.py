"""Brokers: real Kafka and the embedded in-process one, behind one set of names."""
