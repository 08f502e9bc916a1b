"""Dictionaries as other tools save them, read into SAELens' terms; one file per format."""
