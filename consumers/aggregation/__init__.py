"""What becomes of partials: the state of shards, folded and kept durable."""
