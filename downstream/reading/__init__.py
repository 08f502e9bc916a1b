"""Reading finished snapshots: tables, max-activating examples, attachments; no torch, no broker.

``millrace.open`` is the door. Nothing is read before it is asked for.
"""
