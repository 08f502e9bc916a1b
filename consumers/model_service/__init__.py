"""A loaded model behind HTTP: questions and steerings, bounded and batched together."""
