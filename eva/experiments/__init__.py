"""The five experiments of the course, and its own answer. Each module is a submission."""
