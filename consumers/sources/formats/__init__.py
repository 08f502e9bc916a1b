"""Dictionaries as other tools save them, read into SAELens' terms; one file per format."""

SAELENS_WEIGHTS = "sae_weights.safetensors"
"""The file by which a folder is a dictionary of SAELens itself."""
