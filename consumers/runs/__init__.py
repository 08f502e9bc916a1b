"""From what a person asks to a run record, and from a run record to an engine."""
