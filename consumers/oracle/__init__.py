"""The second opinion: the same dashboard data in the plainest way."""
