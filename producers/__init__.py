"""From text to token batches on a topic."""
