"""Studies: many seeds of one submission, and what they say together."""
