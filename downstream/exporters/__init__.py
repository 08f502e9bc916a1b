"""Exporters: a finished snapshot in the formats of other tools, a file of this room per format."""
