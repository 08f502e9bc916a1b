"""The command-line program and the settings: the only package that knows both ends."""
