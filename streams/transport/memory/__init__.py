"""The embedded broker in this process's memory: logs, groups, clients, Faust's transport on it."""
