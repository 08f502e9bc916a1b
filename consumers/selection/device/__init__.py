"""Selection on the device of the activations, in plain torch operations; bit for bit the host's."""
