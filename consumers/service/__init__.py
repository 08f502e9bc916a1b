"""The two apps as agents, serving them in a process, and mending a run."""
