"""Brokers behind one set of names: access, plain clients, prefixes, rights, and Faust on both."""
