"""From hook values to the non-zero components of a source: one file per kind and device."""
