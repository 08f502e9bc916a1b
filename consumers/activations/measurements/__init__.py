"""What statistics have the engine measure beside activations: a file for each."""
