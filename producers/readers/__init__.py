"""Readers of text, one file per format, behind the protocol in ``reader``."""
