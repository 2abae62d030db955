"""What a unit sees, asked of gradients: the oracle and the effective field."""
