"""Vectors of sentences by a small model that is installed beside this program."""
