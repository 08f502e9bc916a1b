"""Scores of labels and features on held-out contexts, one file per score."""
