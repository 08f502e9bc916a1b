"""Asking a loaded model and its dictionaries about texts of one's own."""
