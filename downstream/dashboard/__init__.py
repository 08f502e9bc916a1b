"""The dashboard: a web service over snapshots. It needs neither torch nor a tokenizer."""
