"""Panels of a feature's page that show attachments; one file each."""
