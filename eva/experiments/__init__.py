"""The five experiments, the course's own answer, and those to two smaller assignments."""
