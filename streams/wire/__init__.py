"""Wire format: records as bytes and back, and compressed bodies with a bound on their size."""
