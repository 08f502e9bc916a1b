"""Where components come from: dictionaries, neurons, weight components; loaded and described."""
