"""What is found out from finished snapshots: features of a domain, dictionaries, models."""
