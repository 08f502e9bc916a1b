"""Questions to a model about texts of one's own, and the answers, as plain values. No torch."""
